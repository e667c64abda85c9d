"""Log-probs of given tokens without gradients, for learners and the reference model."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from openrlhf_core.engines.collate import (
    collate_token_ids,
    packed_positions,
    ragged,
    to_device,
)
from openrlhf_core.models.logprobs import predictable_tokens


def forward_logprobs(
    policy: Callable[..., tuple[Tensor, Tensor]],
    token_ids: Sequence[np.ndarray],
    *,
    pad_id: int,
    packing: bool,
    temperature: float,
    device: torch.device,
) -> list[np.ndarray]:
    """Log-probs, float32, of each token of one micro-batch; `policy` is called as `PolicyModel` is.

    An empty micro-batch still runs a forward pass, for ranks that compute in step.
    """
    batch = to_device(collate_token_ids(token_ids, pad_id, packing), device)
    selected = predictable_tokens(batch.sample_ids)
    with torch.no_grad():
        logprobs, _ = policy(batch.token_ids, packed_positions(batch), selected, temperature)
    return ragged(logprobs, batch, [len(ids) for ids in token_ids])
