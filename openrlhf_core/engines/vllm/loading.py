"""Starts vLLM on a model directory, and says what to change when it refuses."""

from typing import Any, Literal

from pydantic import ValidationError
from vllm import LLM
from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend

from openrlhf_core.engines.vllm.model_directory import RolloutModel
from openrlhf_core.engines.vllm.settings import EngineSettings
from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.kinds.formats import DeviceKind, DType

_WORKER_EXTENSION = "openrlhf_core.engines.vllm.worker_extension.WorkerExtension"
_VLLM_DTYPES: dict[DType, Literal["bfloat16", "float32"]] = {
    "BFloat16": "bfloat16",
    "Float32": "float32",
}


def load_llm(model: RolloutModel, settings: EngineSettings) -> LLM:
    """Loads the model into vLLM; ConfigurationError when vLLM cannot run it as asked."""
    spec = settings.spec
    needs_tokenizer = bool(spec.sampling.stop)
    if needs_tokenizer and not model.has_tokenizer:
        raise ConfigurationError(
            f"rollout.sampling.stop ends completions at texts, and {model.directory} has no "
            "tokenizer to read them with; add its tokenizer files or remove `stop`"
        )
    if settings.device_kind == "CPU":
        _check_head_size(model)
    try:
        return LLM(
            str(model.directory),
            skip_tokenizer_init=not needs_tokenizer,
            trust_remote_code=settings.trust_remote_code,
            load_format="safetensors",
            generation_config="vllm",
            tensor_parallel_size=spec.tensor_parallel_size,
            dtype=_VLLM_DTYPES[settings.dtype],
            seed=settings.seed,
            max_model_len=settings.max_sequence_length,
            enable_prefix_caching=spec.prefix_caching,
            logprobs_mode="processed_logprobs",
            weight_transfer_config={"backend": settings.sync_backend},
            worker_extension_cls=_WORKER_EXTENSION,
            **_device_arguments(settings),
        )
    except (ValueError, NotImplementedError) as error:
        raise ConfigurationError(
            f"vLLM cannot run the model in {model.directory} as training.rollout says: "
            f"{_cause(error)}{_advice(error, settings.device_kind)}"
        ) from error


def _device_arguments(settings: EngineSettings) -> dict[str, Any]:
    spec = settings.spec
    if settings.device_kind == "CPU":
        return {"kv_cache_memory_bytes": spec.kv_cache_bytes, "enforce_eager": True}
    return {
        "gpu_memory_utilization": spec.memory_fraction,
        "enforce_eager": spec.enforce_eager,
        "enable_sleep_mode": settings.can_sleep,
    }


def _check_head_size(model: RolloutModel) -> None:
    supported = CPUAttentionBackend.get_supported_head_sizes()
    if model.head_size not in supported:
        raise ConfigurationError(
            f"the model in {model.directory} has attention heads of size {model.head_size}, and "
            f"vLLM on CPU runs {', '.join(map(str, supported))}; take a model with such heads"
        )


def _cause(error: Exception) -> str:
    """The sentence of vLLM's error that says why; pydantic wraps it in several lines."""
    if isinstance(error, ValidationError):
        return error.errors()[0]["msg"].removeprefix("Value error, ")
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].split(" Try ")[0].rstrip(".") if lines else type(error).__name__


def _advice(error: Exception, device_kind: DeviceKind) -> str:
    """What to change in the manifest; vLLM's own advice names its flags."""
    if "memory" not in str(error) and "cache" not in str(error):
        return ""
    field = "rollout.kvCacheBytes" if device_kind == "CPU" else "rollout.memoryFraction"
    return f"; raise {field}, or lower data.promptMaxLength and rollout.sampling.maxTokens"
