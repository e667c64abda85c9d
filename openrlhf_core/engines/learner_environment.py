"""Environment variables of a learner's process, set before torch and DeepSpeed are imported."""

from openrlhf_core.engines.learner_settings import Hardware


def learner_environment(hardware: Hardware) -> dict[str, str]:
    """Returns the variables that DeepSpeed and OpenMP read once, when they are loaded.

    Waiting OpenMP threads sleep, because spinning threads take cores from other processes.
    """
    return {
        "DS_ACCELERATOR": hardware.device_kind.lower(),
        "LOCAL_RANK": "0",
        "OMP_NUM_THREADS": str(hardware.threads),
        "OMP_WAIT_POLICY": "passive",
        "TOKENIZERS_PARALLELISM": "false",
    }
