"""Environment variables that an engine's process needs before it imports vLLM.

The orchestration sets them on the Ray actor; vLLM reads them once, at import.
"""

from collections.abc import MutableMapping

from openrlhf_core.spec.kinds.formats import DeviceKind


def engine_environment(
    device_kind: DeviceKind, threads: int, cache: str | None = None
) -> dict[str, str]:
    """Returns the variables of an engine on `device_kind` that computes with `threads` threads.

    `cache` is a directory that outlives the process; kernels compiled for CUDA are kept below it.
    """
    found = _EVERYWHERE | {"OMP_NUM_THREADS": str(threads)} | _BY_DEVICE[device_kind]
    if device_kind == "CUDA" and cache is not None:
        found |= {name: f"{cache}/{folder}" for name, folder in _COMPILE_CACHES.items()}
    return found


def forget_overrides(environ: MutableMapping[str, str]) -> None:
    """Removes variables of the shell that vLLM would prefer to what the manifest says."""
    for name in _OVERRIDES:
        environ.pop(name, None)


_OVERRIDES = (
    # Replaces kv_cache_memory_bytes, which is rollout.kvCacheBytes.
    "VLLM_CPU_KVCACHE_SPACE",
    # Takes models from another hub, although the model is here already.
    "VLLM_USE_MODELSCOPE",
)

_COMPILE_CACHES = {
    "VLLM_CACHE_ROOT": "vllm",
    "TRITON_CACHE_DIR": "triton",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
}

_EVERYWHERE = {
    # The engine lives in the actor's own process: one import and one load instead of three, and
    # requests are scheduled in the same order in every run.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_DO_NOT_TRACK": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # The actor has other threads; a fork would copy their locks.
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
