"""Samples become padded or packed tensors, and outputs are split per row."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from openrlhf_core.engines.collate import collate, collate_token_ids, ragged
from openrlhf_core.objectives.micro_batch import TokenRow


@dataclass(frozen=True)
class Pair:
    """A sample of two rows, as a preference pair is."""

    chosen: int
    rejected: int


def make_ids(length):
    return np.arange(1, length + 1, dtype=np.int32)


def make_row(length, prompt=1, weight=0.5):
    selected = np.arange(length) >= prompt
    return TokenRow(make_ids(length), selected, np.where(selected, weight, 0).astype(np.float32))


def one_row(length):
    return (make_row(length),)


def two_rows(pair):
    return (make_row(pair.chosen), make_row(pair.rejected))


def test_padded_rows_are_filled_on_the_right():
    batch = collate([3, 2], one_row, pad_id=9, packing=False)
    assert batch.token_ids.tolist() == [[1, 2, 3], [1, 2, 9]]
    assert batch.row_ids.tolist() == [[0, 0, 0], [1, 1, -1]]
    assert batch.selected.tolist() == [[False, True, True], [False, True, False]]
    assert batch.attention_mask.tolist() == [[True, True, True], [True, True, False]]
    assert batch.loss_weights.tolist() == [[0.0, 0.5, 0.5], [0.0, 0.5, 0.0]]
    assert batch.packed_position_ids is None


def test_packed_rows_lie_end_to_end_and_positions_start_anew():
    batch = collate([3, 2], one_row, pad_id=9, packing=True)
    assert batch.token_ids.tolist() == [[1, 2, 3, 1, 2]]
    assert batch.packed_position_ids is not None
    assert batch.packed_position_ids.tolist() == [[0, 1, 2, 0, 1]]
    assert batch.row_ids.tolist() == [[0, 0, 0, 1, 1]]
    assert batch.attention_mask.all()


@pytest.mark.parametrize("packing", [False, True])
def test_a_sample_of_two_rows_stays_one_sample(packing):
    pair = Pair(3, 2)
    batch = collate([pair, Pair(1, 2)], two_rows, 0, packing)
    assert batch.samples[0] is pair
    assert sorted(set(batch.row_ids.flatten().tolist()) - {-1}) == [0, 1, 2, 3]
    assert batch.layout.lengths == (3, 2, 1, 2)


@pytest.mark.parametrize("packing", [False, True])
def test_no_samples_make_a_row_of_padding_without_a_loss(packing):
    batch = collate([], one_row, pad_id=9, packing=packing)
    assert batch.token_ids.tolist() == [[9, 9]]
    assert not batch.selected.any()
    assert not batch.loss_weights.any()
    assert (batch.row_ids == -1).all()
    assert batch.packed_position_ids is None
    assert batch.place([]).tolist() == [[0.0, 0.0]]
    assert ragged(torch.zeros(1, 2), batch) == []


@pytest.mark.parametrize("packing", [False, True])
def test_ragged_splits_what_collate_joined(packing):
    batch = collate_token_ids([make_ids(n) for n in (4, 1, 3)], 0, packing)
    values = ragged(batch.token_ids.float(), batch)
    assert [one.tolist() for one in values] == [[1, 2, 3, 4], [1], [1, 2, 3]]
    assert values[0].dtype == np.float32


def test_an_objective_lays_out_its_own_values_as_the_tokens():
    batch = collate([3, 2], one_row, 0, False)
    values = [np.array([1, 2, 3], np.float32), np.array([4, 5], np.float32)]
    assert batch.place(values, fill=-1.0).tolist() == [[1, 2, 3], [4, 5, -1]]


def test_scoring_selects_every_token_that_follows_another():
    batch = collate_token_ids([make_ids(3), make_ids(2)], 0, True)
    assert batch.selected.tolist() == [[False, True, True, False, True]]
    assert not batch.loss_weights.any()


def test_tensors_have_the_formats_of_the_contract():
    batch = collate([2], one_row, 0, False)
    assert batch.token_ids.dtype == batch.position_ids.dtype == torch.int64
    assert batch.loss_weights.dtype == torch.float32
    assert batch.selected.dtype == torch.bool


def test_moving_to_a_device_moves_every_tensor():
    moved = collate([2], one_row, 0, True).to(torch.device("meta"))
    tensors = [value for value in vars(moved).values() if torch.is_tensor(value)]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert moved.place([np.zeros(2)]).device.type == "meta"
