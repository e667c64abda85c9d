"""Ragged samples to tensors and back, padded and packed."""

import numpy as np
import pytest
import torch

from openrlhf_core.engines.collate import (
    collate,
    collate_token_ids,
    packed_positions,
    ragged,
    to_device,
)
from openrlhf_core.samples import TrainSample


def make_sample(length, prompt=1, old=None, ref=None):
    return TrainSample(
        token_ids=np.arange(1, length + 1, dtype=np.int32),
        action_mask=np.arange(length) >= prompt,
        advantages=np.full(length, 0.5, np.float32),
        rollout_logprobs=np.full(length, -0.5, np.float32),
        old_logprobs=None if old is None else np.full(length, old, np.float32),
        ref_logprobs=None if ref is None else np.full(length, ref, np.float32),
    )


def test_padded_rows_are_filled_on_the_right():
    batch = collate([make_sample(3), make_sample(2)], pad_id=9, packing=False)
    assert batch.token_ids.tolist() == [[1, 2, 3], [1, 2, 9]]
    assert batch.sample_ids.tolist() == [[0, 0, 0], [1, 1, -1]]
    assert batch.action_mask.tolist() == [[False, True, True], [False, True, False]]
    assert batch.attention_mask is not None
    assert batch.attention_mask.tolist() == [[True, True, True], [True, True, False]]
    assert batch.advantages[1].tolist() == [0.5, 0.5, 0.0]
    assert packed_positions(batch) is None


def test_packed_samples_lie_end_to_end_and_positions_start_anew():
    batch = collate([make_sample(3), make_sample(2)], pad_id=9, packing=True)
    assert batch.token_ids.tolist() == [[1, 2, 3, 1, 2]]
    positions = packed_positions(batch)
    assert positions is not None
    assert positions.tolist() == [[0, 1, 2, 0, 1]]
    assert batch.sample_ids.tolist() == [[0, 0, 0, 1, 1]]
    assert batch.attention_mask is None


@pytest.mark.parametrize("packing", [False, True])
def test_no_samples_make_a_row_that_trains_nothing(packing):
    batch = collate([], pad_id=9, packing=packing)
    assert batch.token_ids.tolist() == [[9, 9]]
    assert not batch.action_mask.any()
    assert (batch.sample_ids == -1).all()
    assert ragged(torch.zeros(1, 2), batch, []) == []


@pytest.mark.parametrize("packing", [False, True])
def test_ragged_undoes_collate(packing):
    lengths = [4, 1, 3]
    batch = collate_token_ids([make_sample(n).token_ids for n in lengths], 0, packing)
    values = ragged(batch.token_ids.float(), batch, lengths)
    assert [one.tolist() for one in values] == [[1, 2, 3, 4], [1], [1, 2, 3]]
    assert values[0].dtype == np.float32


def test_old_and_reference_logprobs_are_none_or_tensors():
    batch = collate([make_sample(2, old=-1.0), make_sample(3, old=-2.0)], 0, False)
    assert batch.old_logprobs is not None
    assert batch.old_logprobs.tolist() == [[-1, -1, 0], [-2, -2, -2]]
    assert batch.ref_logprobs is None


def test_samples_that_disagree_are_refused():
    with pytest.raises(ValueError, match="ref_logprobs is None in 1 of 2 samples"):
        collate([make_sample(2, ref=-1.0), make_sample(2)], 0, False)


def test_tensors_have_the_formats_of_the_contract():
    batch = collate([make_sample(2, old=-1.0)], 0, False)
    assert batch.token_ids.dtype == batch.position_ids.dtype == torch.int64
    assert batch.old_logprobs is not None
    assert batch.advantages.dtype == batch.old_logprobs.dtype == torch.float32
    assert batch.action_mask.dtype == torch.bool


def test_moving_to_a_device_moves_every_tensor():
    moved = to_device(collate([make_sample(2)], 0, True), torch.device("meta"))
    assert moved.token_ids.device.type == moved.advantages.device.type == "meta"
    assert moved.attention_mask is None
