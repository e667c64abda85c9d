"""A rollout engine on vLLM, inside the process that makes it.

The process needs `rollout_environment.engine_environment` set before this module is imported.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import ValidationError
from vllm import LLM, CompletionOutput, RequestOutput, SamplingParams, TokensPrompt
from vllm.logprobs import FlatLogprobs
from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend

from openrlhf_core.engines.protocols import (
    Completion,
    GenerationRequest,
    SyncGroup,
    WeightInfo,
)
from openrlhf_core.engines.vllm.environment import DeviceKind
from openrlhf_core.engines.vllm.model_directory import RolloutModel, read_rollout_model
from openrlhf_core.engines.vllm.sleep import Memory, RolloutSleep
from openrlhf_core.engines.weight_sync.backend import SyncBackend
from openrlhf_core.engines.weight_sync.deadline import call_within, sync_failure
from openrlhf_core.engines.weight_sync.receiver import WeightReceiver, make_receiver
from openrlhf_core.spec.exit_codes import ConfigurationError, RetryableError
from openrlhf_core.spec.kinds.rollout import RolloutSpec

_WORKER_EXTENSION = "openrlhf_core.engines.vllm.worker_extension.WorkerExtension"
_DISCARD_ALL = 2
"""vLLM's sleep level that keeps neither weights nor KV cache: a sync brings the weights."""


EngineDtype = Literal["BFloat16", "Float32"]
_VLLM_DTYPES: dict[EngineDtype, Literal["bfloat16", "float32"]] = {
    "BFloat16": "bfloat16",
    "Float32": "float32",
}


@dataclass(frozen=True)
class EngineSettings:
    """What an engine is made with besides the model and `training.rollout`."""

    max_sequence_length: int
    """Longest prompt and completion together, in tokens."""
    dtype: EngineDtype
    seed: int
    device_kind: DeviceKind
    sync_backend: SyncBackend
    can_sleep: bool = False
    """Whether `sleep` gives memory back; CUDA only, on CPU vLLM keeps what it has."""
    trust_remote_code: bool = False


class VllmRolloutEngine:
    """Implements RolloutEngine over one in-process `vllm.LLM`."""

    def __init__(self, model_directory: Path, spec: RolloutSpec, settings: EngineSettings) -> None:
        """Loads the model; ConfigurationError when vLLM cannot run it as asked."""
        self._model = read_rollout_model(
            model_directory, settings.max_sequence_length, settings.trust_remote_code
        )
        self._sampling = spec.sampling
        self._num_workers = spec.tensor_parallel_size
        self._settings = settings
        self._can_sleep = settings.can_sleep and settings.device_kind == "CUDA"
        self._receiver: WeightReceiver | None = None
        self._timeout_seconds = 0.0
        llm = _load(model_directory, self._model, spec, settings)
        self._llm = llm
        self._memory = RolloutSleep(
            discard_all=lambda: llm.sleep(level=_DISCARD_ALL),
            take=lambda memory: _wake(llm, memory),
        )

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Completes every request, in order; raises ConfigurationError when one is too long."""
        if not requests:
            return []
        self._model.check_requests(requests)
        self._memory.ready_to_generate()
        self._llm.enqueue(
            [TokensPrompt(prompt_token_ids=request.prompt_ids.tolist()) for request in requests],
            [self._sampling_params(request) for request in requests],
            use_tqdm=False,
        )
        outputs = self._llm.wait_for_completion(RequestOutput, use_tqdm=False)
        return [_completion(output.outputs[0]) for output in outputs]

    def connect(self, group: SyncGroup, first_rank: int, weights: Sequence[WeightInfo]) -> None:
        """Joins the group; ConfigurationError when the learner's weights do not fit the model."""
        self._model.check_weights(weights)
        receiver = make_receiver(
            self._settings.sync_backend, group, first_rank, self._num_workers, weights
        )
        self._timeout_seconds = group.timeout_seconds
        request = {"init_info": receiver.init_info}
        self._transfer("the engine did not connect", self._llm.init_weight_transfer_engine, request)
        self._receiver = receiver

    def receive_weights(self, policy_version: int) -> int:
        """Takes one round; RetryableError when it does not come whole within the timeout."""
        if self._receiver is None:
            raise RuntimeError("receive_weights before connect")
        self._llm.start_weight_update()
        for update in self._receiver.updates():
            what = f"policy version {policy_version} did not arrive"
            self._transfer(what, self._llm.update_weights, {"update_info": update})
        self._llm.finish_weight_update(weight_version=str(policy_version))
        self._receiver.confirm()
        self._llm.reset_prefix_cache()
        self._memory.weights_arrived()
        return int(self._llm.get_weight_version())

    def sleep(self) -> None:
        """Discards weights and KV cache on a CUDA device; does nothing on CPU."""
        if self._can_sleep:
            self._memory.sleep()

    def wake(self) -> None:
        """Takes memory for the weights, which `receive_weights` fills."""
        self._memory.wake()

    def _transfer(self, what: str, call: Any, request: dict[str, Any]) -> None:
        seconds = self._timeout_seconds
        try:
            if self._settings.sync_backend == "nccl":
                call_within(seconds, what, lambda: call(request))
            else:
                call(request)
        except RetryableError:
            raise
        except (RuntimeError, TimeoutError) as error:
            # With tensor parallelism the workers are processes, and their errors come as text.
            raise sync_failure(what, seconds, error) from error

    def _sampling_params(self, request: GenerationRequest) -> SamplingParams:
        sampling = self._sampling
        return SamplingParams(
            seed=request.seed,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            max_tokens=request.max_tokens,
            # vLLM counts the tokens before the end token, the spec counts it in.
            min_tokens=max(min(sampling.min_tokens, request.max_tokens) - 1, 0),
            stop=list(sampling.stop),
            stop_token_ids=list(self._model.end_token_ids),
            logprobs=0,
            flat_logprobs=True,
            detokenize=bool(sampling.stop),
            skip_clone=True,
        )


def _load(directory: Path, model: RolloutModel, spec: RolloutSpec, settings: EngineSettings) -> LLM:
    needs_tokenizer = bool(spec.sampling.stop)
    if needs_tokenizer and not model.has_tokenizer:
        raise ConfigurationError(
            f"rollout.sampling.stop ends completions at texts, and {directory} has no tokenizer "
            "to read them with; add its tokenizer files or remove `stop`"
        )
    if settings.device_kind == "CPU":
        _check_head_size(model)
    try:
        return LLM(
            str(directory),
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
            **_device_arguments(spec, settings),
        )
    except (ValueError, NotImplementedError) as error:
        raise ConfigurationError(
            f"vLLM cannot run the model in {directory} as training.rollout says: "
            f"{_cause(error)}{_mend(error, settings.device_kind)}"
        ) from error


def _device_arguments(spec: RolloutSpec, settings: EngineSettings) -> dict[str, Any]:
    if settings.device_kind == "CPU":
        return {"kv_cache_memory_bytes": spec.kv_cache_bytes, "enforce_eager": True}
    return {
        "gpu_memory_utilization": spec.memory_fraction,
        "enforce_eager": spec.enforce_eager,
        "enable_sleep_mode": settings.can_sleep,
    }


def _wake(llm: LLM, memory: Memory) -> None:
    llm.wake_up(tags=[memory])


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


def _mend(error: Exception, device_kind: DeviceKind) -> str:
    """What to change in the manifest; vLLM's own advice names its flags."""
    if "memory" not in str(error) and "cache" not in str(error):
        return ""
    field = "rollout.kvCacheBytes" if device_kind == "CPU" else "rollout.memoryFraction"
    return f"; raise {field}, or lower data.promptMaxLength and rollout.sampling.maxTokens"


def _completion(output: CompletionOutput) -> Completion:
    assert isinstance(output.logprobs, FlatLogprobs), "asked for flat_logprobs"
    if output.finish_reason not in ("stop", "length"):
        raise RetryableError(f"vLLM ended a completion with {output.finish_reason!r}")
    return Completion(
        token_ids=np.asarray(output.token_ids, dtype=np.int32),
        logprobs=np.asarray(output.logprobs.logprobs, dtype=np.float32),
        finish_reason="stop" if output.finish_reason == "stop" else "length",
    )
