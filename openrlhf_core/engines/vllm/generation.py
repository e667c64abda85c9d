"""Runs the requests of one vLLM engine: submit, poll, abort, pause.

vLLM makes one token of every running request per engine step. `poll` runs steps; between two of
them it looks whether another thread has asked to abort a request or to pause.
"""

import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from time import monotonic

import numpy as np
from vllm import CompletionOutput, RequestOutput, SamplingParams
from vllm.inputs import tokens_input
from vllm.logprobs import FlatLogprobs
from vllm.v1.engine.llm_engine import LLMEngine

from openrlhf_core.engines.protocols import Completion, GenerationRequest, RequestId
from openrlhf_core.spec.exit_codes import RetryableError

MakeSamplingParams = Callable[[GenerationRequest], SamplingParams]


class Generation:
    """The requests under way in one engine.

    One thread calls `submit` and `poll`. Any thread may call `abort`, `pause` and `resume`.
    """

    def __init__(self, engine: LLMEngine, sampling_params: MakeSamplingParams) -> None:
        self._engine = engine
        self._sampling_params = sampling_params
        self._under_way: dict[str, RequestId] = {}
        self._to_abort: SimpleQueue[RequestId] = SimpleQueue()
        self._is_paused = threading.Event()

    def submit(self, requests: Sequence[GenerationRequest]) -> None:
        """Queues every request; no token is drawn before the next `poll`."""
        self._abort_requested()
        for request in requests:
            name = vllm_id(request.request_id)
            self._engine.add_request(
                name,
                tokens_input(request.prompt_ids.tolist()),
                self._sampling_params(request),
            )
            self._under_way[name] = request.request_id

    def poll(self, max_seconds: float) -> list[Completion]:
        """Generates until all requests are complete, `pause` is called or the time has passed."""
        end = monotonic() + max_seconds
        completions: list[Completion] = []
        while not self._is_paused.is_set():
            self._abort_requested()
            if not self._engine.has_unfinished_requests():
                self._check_all_answered()
                break
            for output in self._engine.step():
                assert isinstance(output, RequestOutput), "asked for text"
                request_id = self._under_way.pop(output.request_id)
                completions.append(read_completion(request_id, output.outputs[0]))
            if monotonic() >= end:
                break
        return completions

    def abort(self, request_ids: Sequence[RequestId]) -> None:
        """Drops requests before the next engine step; `poll` returns nothing for them."""
        for request_id in request_ids:
            self._to_abort.put(request_id)

    def abort_all(self) -> None:
        """Drops every request now; not while `poll` runs."""
        self.abort(list(self._under_way.values()))
        self._abort_requested()

    def pause(self) -> None:
        """Makes `poll` return after its current engine step; the requests keep their tokens."""
        self._is_paused.set()

    def resume(self) -> None:
        """Lets `poll` generate again."""
        self._is_paused.clear()

    def _abort_requested(self) -> None:
        try:
            while True:
                name = vllm_id(self._to_abort.get_nowait())
                if self._under_way.pop(name, None) is not None:
                    self._engine.abort_request([name])
        except Empty:
            return

    def _check_all_answered(self) -> None:
        if self._under_way:
            raise RetryableError(f"vLLM lost {len(self._under_way)} requests without an answer")


def vllm_id(request_id: RequestId) -> str:
    """Names a request to vLLM."""
    return f"{request_id.prompt_id}-{request_id.sample_index}"


def read_completion(request_id: RequestId, output: CompletionOutput) -> Completion:
    """Turns vLLM's answer into arrays; RetryableError for a request that vLLM gave up."""
    assert isinstance(output.logprobs, FlatLogprobs), "asked for flat_logprobs"
    if output.finish_reason not in ("stop", "length"):
        raise RetryableError(f"vLLM ended a completion with {output.finish_reason!r}")
    return Completion(
        request_id=request_id,
        token_ids=np.asarray(output.token_ids, dtype=np.int32),
        logprobs=np.asarray(output.logprobs.logprobs, dtype=np.float32),
        versions=token_versions(output),
        finish_reason="stop" if output.finish_reason == "stop" else "length",
    )


def token_versions(output: CompletionOutput) -> np.ndarray:
    """Returns the policy version that drew each token, int32 [completion]."""
    spans = output.weight_versions or ()
    versions = np.repeat(
        np.array([int(span.version) for span in spans], dtype=np.int32),
        [span.end - span.start for span in spans],
    )
    assert len(versions) == len(output.token_ids), "vLLM labels every token"
    return versions
