"""Small samples for tests."""

from collections.abc import Sequence

import numpy as np

from openrlhf_core.samples import FinishReason, Prompt, Rollout


def make_rollout(
    prompt: Prompt,
    completion: Sequence[int] = (0,),
    *,
    sample_index: int = 0,
    logprob: float = 0.0,
    version: int = 0,
    finish_reason: FinishReason = "stop",
) -> Rollout:
    """A rollout of one turn whose tokens all have the log-prob `logprob`."""
    start, length = len(prompt.token_ids), len(completion)
    mask = np.arange(start + length) >= start
    return Rollout(
        prompt=prompt,
        sample_index=sample_index,
        token_ids=np.concatenate([prompt.token_ids, np.asarray(completion, np.int32)]),
        action_mask=mask,
        logprobs=np.where(mask, np.float32(logprob), np.float32(0)),
        versions=np.where(mask, np.int32(version), np.int32(-1)),
        finish_reason=finish_reason,
    )
