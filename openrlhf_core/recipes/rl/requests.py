"""Asks the engines for a step's completions, each with its own seed, and reads the answers."""

from collections.abc import Sequence

import numpy as np

from openrlhf_core.engines.protocols import Completion, GenerationRequest, RequestId
from openrlhf_core.samples import Prompt, Rollout


def request_seed(run_seed: int, request_id: RequestId) -> int:
    """Returns a seed in [0, 2**63) that depends on the run's seed and the request alone.

    The step has no part in it: a prompt is drawn alike in whichever step it is submitted.
    NumPy's SeedSequence mixes the numbers, so neighbouring requests draw unrelated tokens.
    """
    state = np.random.SeedSequence((run_seed, *request_id)).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))


def make_requests(
    prompts: Sequence[Prompt], group_size: int, run_seed: int, max_tokens: int
) -> list[GenerationRequest]:
    """Returns `group_size` requests a prompt, the requests of one prompt side by side."""
    return [
        GenerationRequest(
            request_id=request_id,
            prompt_ids=prompt.token_ids,
            seed=request_seed(run_seed, request_id),
            max_tokens=max_tokens,
        )
        for prompt in prompts
        for request_id in (RequestId(prompt.prompt_id, sample) for sample in range(group_size))
    ]


def make_rollouts(prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[Rollout]:
    """Joins completions to their prompts, in the order of the completions."""
    by_id = {prompt.prompt_id: prompt for prompt in prompts}
    return [make_rollout(by_id[each.request_id.prompt_id], each) for each in completions]


def make_rollout(prompt: Prompt, completion: Completion) -> Rollout:
    """Returns the rollout of one turn: the prompt, then the completion."""
    start, length = len(prompt.token_ids), len(completion.token_ids)
    return Rollout(
        prompt=prompt,
        sample_index=completion.request_id.sample_index,
        token_ids=np.concatenate([prompt.token_ids, completion.token_ids]),
        action_mask=np.arange(start + length) >= start,
        logprobs=np.concatenate([np.zeros(start, np.float32), completion.logprobs]),
        versions=np.concatenate([np.full(start, -1, np.int32), completion.versions]),
        finish_reason=completion.finish_reason,
    )
