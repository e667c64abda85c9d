"""Scores of given tokens without gradients, for learners and frozen models."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from openrlhf_core.engines.collate import collate_token_ids, ragged


def forward_scores(
    model: Callable[..., tuple[Tensor, ...]],
    token_ids: Sequence[np.ndarray],
    *,
    pad_id: int,
    packing: bool,
    device: torch.device,
) -> list[np.ndarray]:
    """Returns a float32 number for each token of one micro-batch: the model's first tensor.

    For TokenLogprobs these are log-probs. `model` is called as `PolicyModel` is. An empty
    micro-batch still runs a forward pass, for ranks that take part in collectives.
    """
    batch = collate_token_ids(token_ids, pad_id, packing).to(device)
    with torch.no_grad():
        scores, *_ = model(batch.token_ids, batch.packed_position_ids, batch.selected)
    return ragged(scores, batch)
