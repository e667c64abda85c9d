"""Environment variables of a learner's process, to be set before torch and DeepSpeed load."""

from openrlhf_core.engines.learner_settings import Hardware


def learner_environment(hardware: Hardware) -> dict[str, str]:
    """What DeepSpeed and OpenMP read once, when they load.

    Waiting OpenMP threads sleep: spinning ones take the cores of the processes beside them.
    """
    return {
        "DS_ACCELERATOR": hardware.device_kind.lower(),
        "LOCAL_RANK": "0",
        "OMP_NUM_THREADS": str(hardware.threads),
        "OMP_WAIT_POLICY": "passive",
        "TOKENIZERS_PARALLELISM": "false",
    }
