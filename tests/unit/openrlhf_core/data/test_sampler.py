"""The order of the stream: pure, complete, mixed by weight."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from openrlhf_core.data.sampler import IndexSampler, shuffled


def epoch_rows(sampler: IndexSampler, epoch: int) -> Counter[tuple[int, int]]:
    return Counter(sampler.batch(epoch * sampler.epoch_size, sampler.epoch_size))


def test_the_order_is_the_same_for_ever():
    # Written down once: a library that changed it would break the resume of a run.
    assert shuffled(8, (42, 1, 0)).tolist() == WRITTEN_DOWN


WRITTEN_DOWN = [4, 1, 0, 7, 3, 2, 6, 5]


@given(st.integers(1, 300), st.integers(0, 2**31), st.integers(0, 50))
def test_shuffled_is_a_permutation(size: int, seed: int, epoch: int):
    assert sorted(shuffled(size, (seed, epoch))) == list(range(size))


def test_seed_and_epoch_change_the_order():
    orders = {tuple(shuffled(50, key)) for key in [(1, 0), (1, 1), (2, 0), (0, 1), (0, 0)]}
    assert len(orders) == 5


def test_every_row_is_as_likely_at_the_front():
    # 4000 draws of 8 rows: 500 expected each, standard deviation 21.
    first = np.bincount([shuffled(8, (seed,))[0] for seed in range(4000)], minlength=8)
    assert abs(first - 500).max() < 5 * 21


def test_an_epoch_takes_every_row_once_at_weight_1():
    sampler = IndexSampler(sizes=(5, 3), weights=(1.0, 1.0), seed=7)
    everything = Counter([(0, row) for row in range(5)] + [(1, row) for row in range(3)])
    assert [epoch_rows(sampler, epoch) for epoch in range(3)] == [everything] * 3
    assert sampler.batch(0, 8) != sampler.batch(8, 8)


def test_weight_2_takes_every_row_twice_each_epoch():
    sampler = IndexSampler(sizes=(4, 3), weights=(2.0, 1.0), seed=7)
    assert sampler.epoch_size == 11
    for epoch in range(3):
        rows = epoch_rows(sampler, epoch)
        assert all(rows[0, row] == 2 for row in range(4))
        assert all(rows[1, row] == 1 for row in range(3))


def test_weight_one_half_takes_the_other_half_in_the_next_epoch():
    sampler = IndexSampler(sizes=(10,), weights=(0.5,), seed=3)
    assert sampler.epoch_size == 5
    for epoch in (0, 2, 4):
        first, second = epoch_rows(sampler, epoch), epoch_rows(sampler, epoch + 1)
        assert first + second == Counter((0, row) for row in range(10))
    assert epoch_rows(sampler, 0) != epoch_rows(sampler, 2)


def test_a_tiny_weight_still_takes_a_row():
    sampler = IndexSampler(sizes=(10, 100), weights=(0.001, 1.0), seed=3)
    assert sampler.counts == (1, 100)


@given(st.integers(0, 1000), st.integers(1, 40), st.integers(0, 40))
def test_a_batch_does_not_depend_on_where_batches_are_cut(position: int, count: int, cut: int):
    sampler = IndexSampler(sizes=(7, 4), weights=(1.5, 0.25), seed=11)
    cut = min(cut, count)
    parts = sampler.batch(position, cut) + sampler.batch(position + cut, count - cut)
    assert parts == sampler.batch(position, count)


def test_datasets_are_mixed_within_an_epoch():
    sampler = IndexSampler(sizes=(500, 500), weights=(1.0, 1.0), seed=5)
    share = np.mean([dataset for dataset, _ in sampler.batch(0, 200)])
    assert 0.35 < share < 0.65
