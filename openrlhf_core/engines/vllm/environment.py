"""Environment variables that an engine's process needs before it imports vLLM.

The orchestration sets them on the Ray actor; vLLM reads them once, at import.
"""

from openrlhf_core.spec.kinds.formats import DeviceKind


def engine_environment(device_kind: DeviceKind, threads: int) -> dict[str, str]:
    """The variables of an engine on `device_kind` that computes with `threads` OpenMP threads."""
    return _EVERYWHERE | {"OMP_NUM_THREADS": str(threads)} | _BY_DEVICE[device_kind]


_EVERYWHERE = {
    # The engine lives in the actor's own process: one import and one load instead of three, and
    # requests are scheduled in the same order in every run.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_DO_NOT_TRACK": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # Started inside an actor that other threads live in; a fork would copy their locks.
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
}

_BY_DEVICE: dict[DeviceKind, dict[str, str]] = {
    "CPU": {
        # vLLM compiles its log-prob kernels with g++ at the first request, also when eager.
        "TORCHDYNAMO_DISABLE": "1",
        # Its own binding pins every engine of a machine to the same cores, and refuses two tensor
        # parallel workers on one NUMA node.
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    },
    "CUDA": {},
}
