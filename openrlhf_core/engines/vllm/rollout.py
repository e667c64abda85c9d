"""A rollout engine on vLLM, inside the process that makes it.

The process needs `environment.engine_environment` set before this module is imported.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vllm import LLM, SamplingParams
from vllm.sampling_params import RequestOutputKind

from openrlhf_core.engines.protocols import (
    Completion,
    GenerationRequest,
    RequestId,
    SyncGroup,
    WeightInfo,
)
from openrlhf_core.engines.vllm.generation import Generation
from openrlhf_core.engines.vllm.loading import load_llm
from openrlhf_core.engines.vllm.model_directory import RolloutModel, read_rollout_model
from openrlhf_core.engines.vllm.settings import EngineSettings
from openrlhf_core.engines.vllm.sleep import Memory, RolloutSleep
from openrlhf_core.engines.weight_sync.deadline import call_within, sync_failure
from openrlhf_core.engines.weight_sync.receiver import WeightReceiver, make_receiver
from openrlhf_core.spec.exit_codes import RetryableError
from openrlhf_core.spec.kinds.rollout import SamplingSpec

_DISCARD_ALL = 2
"""vLLM's sleep level that keeps neither weights nor KV cache: a sync brings the weights."""
_VERSION_AS_LOADED = "0"


def load_engine(directory: Path, settings: EngineSettings) -> "VllmRolloutEngine":
    """Loads a model; ConfigurationError when vLLM cannot run it as asked."""
    model = read_rollout_model(directory, settings.max_sequence_length, settings.trust_remote_code)
    return VllmRolloutEngine(model, load_llm(model, settings), settings)


class VllmRolloutEngine:
    """Implements RolloutEngine over one in-process `vllm.LLM`."""

    def __init__(self, model: RolloutModel, llm: LLM, settings: EngineSettings) -> None:
        self._model = model
        self._llm = llm
        self._settings = settings
        self._can_sleep = settings.can_sleep and settings.device_kind == "CUDA"
        self._receiver: WeightReceiver | None = None
        self._timeout_seconds = 0.0
        llm.llm_engine.set_weight_version(_VERSION_AS_LOADED)
        self._memory = make_sleep(llm)
        self._generation = Generation(llm.llm_engine, self._sampling_params)

    def submit(self, requests: Sequence[GenerationRequest]) -> None:
        """Queues requests; ConfigurationError when one of them is too long, none queued then."""
        self._model.check_requests(requests)
        self._generation.submit(requests)

    def poll(self, max_seconds: float) -> list[Completion]:
        """Generates for at most `max_seconds`; returns what was completed."""
        self._memory.ready_to_generate()
        return self._generation.poll(max_seconds)

    def abort(self, request_ids: Sequence[RequestId]) -> None:
        """Drops requests; may be called from another thread, also while `poll` runs."""
        self._generation.abort(request_ids)

    def pause(self) -> None:
        """Ends a running `poll` soon; may be called from another thread."""
        self._generation.pause()

    def resume(self) -> None:
        """Lets `poll` generate again; may be called from another thread."""
        self._generation.resume()

    def connect(self, group: SyncGroup, first_rank: int, weights: Sequence[WeightInfo]) -> None:
        """Joins the group; ConfigurationError when the learner's weights do not fit the model."""
        self._model.check_weights(weights)
        num_workers = self._settings.spec.tensor_parallel_size
        receiver = make_receiver(
            self._settings.sync_backend, group, first_rank, num_workers, weights
        )
        self._timeout_seconds = group.timeout_seconds
        request = {"init_info": receiver.init_info}
        self._transfer("the engine did not connect", self._llm.init_weight_transfer_engine, request)
        self._receiver = receiver

    def receive_weights(self, policy_version: int) -> int:
        """Takes one round; RetryableError when it does not come whole within the timeout.

        Requests under way go on with the new weights, which also read their earlier tokens anew.
        """
        if self._receiver is None:
            raise RuntimeError("receive_weights before connect")
        self._llm.start_weight_update()
        for update in self._receiver.updates():
            what = f"policy version {policy_version} did not arrive"
            self._transfer(what, self._llm.update_weights, {"update_info": update})
        self._llm.finish_weight_update(weight_version=str(policy_version))
        self._receiver.confirm()
        if not self._llm.reset_prefix_cache(reset_running_requests=True):
            raise RetryableError(
                "vLLM did not empty its prefix cache after a weight sync, so it would mix keys and "
                "values of two policy versions"
            )
        self._memory.weights_arrived()
        return int(self._llm.get_weight_version())

    def sleep(self) -> None:
        """Drops all requests; discards weights and KV cache on a CUDA device."""
        self._generation.abort_all()
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
        return sampling_params(self._settings.spec.sampling, self._model.end_token_ids, request)


def make_sleep(llm: LLM) -> RolloutSleep:
    """The engine's account of its memory, which calls vLLM when it changes."""

    def take(memory: Memory) -> None:
        llm.wake_up(tags=[memory])

    return RolloutSleep(discard_all=lambda: llm.sleep(level=_DISCARD_ALL), take=take)


def sampling_params(
    sampling: SamplingSpec, end_token_ids: Sequence[int], request: GenerationRequest
) -> SamplingParams:
    """What vLLM is told of one request."""
    return SamplingParams(
        seed=request.seed,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        max_tokens=request.max_tokens,
        # vLLM counts the tokens before the end token, the spec counts it in.
        min_tokens=max(min(sampling.min_tokens, request.max_tokens) - 1, 0),
        stop=list(sampling.stop),
        stop_token_ids=list(end_token_ids),
        logprobs=0,
        flat_logprobs=True,
        detokenize=bool(sampling.stop),
        output_kind=RequestOutputKind.FINAL_ONLY,
        skip_special_tokens=False,
        skip_clone=True,
    )
