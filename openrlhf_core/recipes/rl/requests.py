"""Which completions a step asks for, each with a seed of its own: decided before generation."""

from collections.abc import Sequence

import numpy as np

from openrlhf_core.engines.protocols import Completion, GenerationRequest
from openrlhf_core.samples import Prompt, Rollout


def request_seed(run_seed: int, step: int, prompt_id: int, sample_index: int) -> int:
    """Returns a seed that depends on these four numbers alone, in [0, 2**63).

    NumPy's SeedSequence mixes them, so neighbouring requests draw unrelated tokens.
    """
    state = np.random.SeedSequence((run_seed, step, prompt_id, sample_index)).generate_state(
        1, np.uint64
    )
    return int(state[0] >> np.uint64(1))


def make_requests(
    prompts: Sequence[Prompt], group_size: int, run_seed: int, step: int, max_tokens: int
) -> list[GenerationRequest]:
    """Returns `group_size` requests a prompt, the requests of one prompt side by side."""
    return [
        GenerationRequest(
            prompt_ids=prompt.token_ids,
            seed=request_seed(run_seed, step, prompt.prompt_id, sample),
            max_tokens=max_tokens,
        )
        for prompt in prompts
        for sample in range(group_size)
    ]


def make_rollouts(
    prompts: Sequence[Prompt],
    completions: Sequence[Completion],
    group_size: int,
    policy_version: int,
) -> list[Rollout]:
    """Joins completions, in the order of `make_requests`, to their prompts."""
    return [
        Rollout(
            prompt=prompts[index // group_size],
            sample_index=index % group_size,
            completion_ids=completion.token_ids,
            rollout_logprobs=completion.logprobs,
            finish_reason=completion.finish_reason,
            policy_version=policy_version,
        )
        for index, completion in enumerate(completions)
    ]
