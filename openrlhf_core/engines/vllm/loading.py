"""Starts vLLM on a model directory, and says what to change when it refuses."""

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError
from vllm import LLM
from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend

from openrlhf_core.engines.vllm.model_directory import RolloutModel
from openrlhf_core.engines.vllm.settings import EngineSettings
from openrlhf_core.spec.exit_codes import ConfigurationError, RetryableError, RunError
from openrlhf_core.spec.kinds.formats import DeviceKind, DType

_WORKER_EXTENSION = "openrlhf_core.engines.vllm.worker_extension.WorkerExtension"
_FAILED_WORKER = "WorkerProc initialization failed"
_VLLM_DTYPES: dict[DType, Literal["bfloat16", "float32"]] = {
    "BFloat16": "bfloat16",
    "Float32": "float32",
}


def load_llm(model: RolloutModel, settings: EngineSettings) -> LLM:
    """Loads the model into vLLM; ConfigurationError when vLLM cannot run it as asked."""
    if settings.spec.sampling.stop and not model.has_tokenizer:
        raise ConfigurationError(
            f"rollout.sampling.stop ends completions at texts, and {model.directory} has no "
            "tokenizer to read them with; add its tokenizer files or remove `stop`"
        )
    if settings.device_kind == "CPU":
        _check_head_size(model)
    try:
        return LLM(**_arguments(model, settings))
    except (ValueError, NotImplementedError) as error:
        raise refusal(error, model.directory, settings.device_kind) from error
    except Exception as error:
        if _FAILED_WORKER not in str(error):
            raise
        raise RetryableError(
            f"a tensor parallel worker of vLLM could not load the model in {model.directory}; its "
            "own error stands above in the log of this engine. Its devices may still be in use by "
            "processes that are ending: a retry then succeeds"
        ) from error


def _arguments(model: RolloutModel, settings: EngineSettings) -> dict[str, Any]:
    spec = settings.spec
    return {
        "model": str(model.directory),
        "skip_tokenizer_init": not spec.sampling.stop,
        "trust_remote_code": settings.trust_remote_code,
        "load_format": "safetensors",
        "generation_config": "vllm",
        "tensor_parallel_size": spec.tensor_parallel_size,
        # Inside a placement group vLLM would let Ray start its workers, one bundle each; ours has
        # one bundle a node. Processes of this actor see its devices.
        "distributed_executor_backend": "mp" if spec.tensor_parallel_size > 1 else None,
        "dtype": _VLLM_DTYPES[settings.dtype],
        "seed": settings.seed,
        "max_model_len": settings.max_sequence_length,
        "hf_overrides": _config_changes(model),
        "enable_prefix_caching": spec.prefix_caching,
        "logprobs_mode": "processed_logprobs",
        "weight_transfer_config": {"backend": settings.sync_backend},
        "worker_extension_cls": _WORKER_EXTENSION,
        **_device_arguments(settings),
    }


def _config_changes(model: RolloutModel) -> dict[str, Any]:
    """The length that YaRN extends the model to, where config.json still has the original one.

    vLLM takes max_position_embeddings for the extended length.
    """
    if model.extended_length is None:
        return {}
    return {"max_position_embeddings": model.extended_length}


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


def refusal(error: Exception, directory: Path, device_kind: DeviceKind) -> RunError:
    """The error of ours that says why vLLM refused a model, and what to do.

    Too little free memory is worth another attempt: processes that are ending may hold it.
    """
    field = "rollout.kvCacheBytes" if device_kind == "CPU" else "rollout.memoryFraction"
    cause = _cause(error)
    if re.match(r"(Free|Available) memory on", cause):
        return RetryableError(f"vLLM cannot load the model in {directory}: {cause}; lower {field}")
    advice = ""
    if "memory" in str(error) or "cache" in str(error):
        advice = f"; raise {field}, or lower data.promptMaxLength and rollout.sampling.maxTokens"
    return ConfigurationError(
        f"vLLM cannot run the model in {directory} as training.rollout says: {cause}{advice}"
    )


def _cause(error: Exception) -> str:
    """The sentence of vLLM's error that says why, without its advice, which names its flags."""
    if isinstance(error, ValidationError):
        return error.errors()[0]["msg"].removeprefix("Value error, ")
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return re.split(r"\.? (?:Try|Decrease|On the CPU backend|Reduce) ", lines[0])[0].rstrip(".")
