"""Which samples share a micro-batch and a rank."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrlhf_core.algorithms.aggregate import LossAggregation
from openrlhf_core.data.balance import BatchLimits, Indices, plan_forward, plan_updates
from openrlhf_core.objectives.policy import PolicySample
from openrlhf_core.samples import OptimizerBatch

lengths_lists = st.lists(st.integers(1, 60), min_size=1, max_size=60)
limits_of_any_kind = st.one_of(
    st.builds(BatchLimits, micro_batch_size=st.integers(1, 9)),
    st.builds(BatchLimits, max_tokens=st.integers(1, 200), packing=st.booleans()),
)


def make_sample(length: int, number: int = 0, is_masked: bool = False) -> PolicySample:
    """A sample whose first token tells its number; all but that token are trained on."""
    zeros = np.zeros(length, dtype=np.float32)
    token_ids = np.full(length, number, dtype=np.int32)
    mask = (np.arange(length) > 0) & (not is_masked)
    return PolicySample(token_ids, mask, advantages=zeros, rollout_logprobs=zeros)


def numbers(batch: OptimizerBatch[PolicySample]) -> list[int]:
    return [int(sample.token_ids[0]) for micro in batch.micro_batches for sample in micro]


def share_out(lengths: list[int], ranks: int, limits: BatchLimits) -> list[list[Indices]]:
    """The plan of samples with one row each."""
    return plan_forward([(length,) for length in lengths], ranks, limits)


def plan(samples, *, ranks=2, batch=8, epochs=1, key=(1, 1), limits=None, kind="TokenMean"):
    return plan_updates(
        samples,
        train_batch_size=batch,
        num_ranks=ranks,
        epochs=epochs,
        key=key,
        limits=limits or BatchLimits(max_tokens=64),
        aggregation=LossAggregation(kind),
    )


@given(lengths_lists, st.integers(1, 5), limits_of_any_kind)
def test_no_index_is_lost_or_doubled_and_ranks_have_equally_many(lengths, ranks, limits):
    shares = share_out(lengths, ranks, limits)
    flat = [index for share in shares for batch in share for index in batch]
    assert sorted(flat) == list(range(len(lengths)))
    assert len({len(share) for share in shares}) == 1


@given(lengths_lists, st.integers(1, 5), limits_of_any_kind)
def test_no_micro_batch_is_over_the_limit_but_a_lone_sample(lengths, ranks, limits):
    for batch in (batch for share in share_out(lengths, ranks, limits) for batch in share):
        sizes = [lengths[index] for index in batch]
        if limits.micro_batch_size is not None:
            assert len(sizes) <= limits.micro_batch_size
        elif len(sizes) > 1:
            cost = sum(sizes) if limits.packing else len(sizes) * max(sizes)
            assert cost <= limits.max_tokens


@given(st.lists(st.integers(1, 60), min_size=8, max_size=60), st.integers(1, 4))
def test_ranks_differ_by_no_more_than_the_longest_sample(lengths, ranks):
    shares = share_out(lengths, ranks, BatchLimits(max_tokens=100))
    loads = [sum(lengths[i] for batch in share for i in batch) for share in shares]
    assert max(loads) - min(loads) <= max(lengths)


def test_like_lengths_share_a_micro_batch():
    # By length: 9, 8 | 3, 3, 2 with a budget of 18 = 2 x 9; unsorted, 9+3 would waste 6.
    plan = share_out([3, 9, 2, 8, 3], 1, BatchLimits(max_tokens=18))
    assert plan == [[(1, 3), (0, 4, 2)]]


def test_packing_counts_no_padding():
    lengths = [10, 2, 2, 2]  # padded: 4 x 10 tokens, packed: 16
    assert share_out(lengths, 1, BatchLimits(max_tokens=16, packing=True)) == [[(0, 1, 2, 3)]]
    assert len(share_out(lengths, 1, BatchLimits(max_tokens=16))[0]) == 2


def test_sorting_leaves_little_padding():
    lengths = np.random.default_rng(0).geometric(1 / 200, size=512)
    plan = share_out(list(lengths), 1, BatchLimits(max_tokens=4096))
    padded = sum(len(batch) * max(lengths[list(batch)]) for batch in plan[0])
    assert padded / lengths.sum() < 1.1  # at random it is about 2


def test_a_rank_with_fewer_micro_batches_splits_them_before_it_idles():
    # Rank 0 gets 9 and 4, which fill two micro-batches of 10 tokens; rank 1 gets 5 and 4, which
    # would fit one (2 x 5) and leave it idle in the second.
    plan = share_out([9, 5, 4, 4], 2, BatchLimits(max_tokens=10))
    assert plan == [[(0,), (3,)], [(1,), (2,)]]


def test_a_rank_without_a_sample_gets_empty_micro_batches():
    assert share_out([5], 3, BatchLimits(max_tokens=9)) == [[(0,)], [()], [()]]


def test_limits_want_exactly_one():
    with pytest.raises(ValueError, match="give one of them"):
        BatchLimits()
    with pytest.raises(ValueError, match="give one of them"):
        BatchLimits(micro_batch_size=1, max_tokens=1)


def test_every_epoch_trains_every_sample_once_in_another_order():
    samples = [make_sample(5, number) for number in range(20)]
    steps = plan(samples, batch=8, epochs=2)
    assert [sum(len(numbers(rank)) for rank in step) for step in steps] == [7, 7, 6] * 2
    order = [[n for step in part for rank in step for n in numbers(rank)] for part in halves(steps)]
    assert sorted(order[0]) == sorted(order[1]) == list(range(20))
    assert order[0] != order[1]


def halves(steps: list) -> tuple[list, list]:
    return steps[: len(steps) // 2], steps[len(steps) // 2 :]


def test_the_plan_depends_on_its_key_alone():
    samples = [make_sample(5 + number % 3, number) for number in range(20)]
    made = [[numbers(rank) for step in plan(samples, key=key) for rank in step] for key in KEYS]
    assert made[0] == made[1]
    assert made[0] != made[2]


KEYS = [(1, 4), (1, 4), (1, 5)]


def loss_weights(steps: list) -> dict[int, float]:
    """The weight of a trained token, by the number of its sample."""
    samples = [s for step in steps for rank in step for micro in rank.micro_batches for s in micro]
    return {int(s.token_ids[0]): float(s.loss_weights[s.action_mask][0]) for s in samples}


def test_samples_carry_the_loss_weights_of_the_whole_step():
    # Trained tokens 3 + 2 + 1 + 1 = 7 over two ranks and four micro-batches.
    samples = [make_sample(length, number) for number, length in enumerate((4, 3, 2, 2))]
    limits = BatchLimits(micro_batch_size=1)
    by_token = loss_weights(plan(samples, limits=limits))
    assert by_token == pytest.approx(dict.fromkeys(range(4), 1 / 7))
    by_sample = loss_weights(plan(samples, limits=limits, kind="SequenceMean"))
    assert by_sample == pytest.approx({0: 1 / 12, 1: 1 / 8, 2: 1 / 4, 3: 1 / 4})


@pytest.mark.parametrize("kind", ["TokenMean", "SequenceMean", "MicroBatchTokenMean"])
def test_the_loss_weights_of_each_optimizer_step_add_up_to_one(kind):
    samples = [make_sample(5 + n % 7, n, is_masked=n % 3 == 0) for n in range(20)]
    for step in plan(samples, epochs=2, kind=kind):
        trained = [s for rank in step for micro in rank.micro_batches for s in micro]
        assert sum(float(s.loss_weights.sum()) for s in trained) == pytest.approx(1.0)


def test_planning_leaves_the_given_samples_as_they_are():
    samples = [make_sample(5)]
    plan(samples)
    assert samples[0].loss_weights is None


@dataclass(frozen=True)
class Pair:
    """A sample of another objective: two rows and one loss."""

    row_lengths: tuple[int, ...]
    weight: float = 0.0
    num_targets: int = 1

    def with_loss_weight(self, weight: float) -> "Pair":
        return replace(self, weight=weight)


def test_samples_of_two_rows_are_planned_alike():
    # Rows of a micro-batch are padded to the longest: 4 rows x 9 tokens fit 36, 6 rows do not.
    pairs = [Pair((9, 3)), Pair((8, 8)), Pair((2, 9)), Pair((1, 1))]
    (step,) = plan(pairs, ranks=1, limits=BatchLimits(max_tokens=36))
    assert [{s.row_lengths for s in micro} for micro in step[0].micro_batches] == [
        {(9, 3), (2, 9)},
        {(8, 8), (1, 1)},
    ]
    assert {s.weight for micro in step[0].micro_batches for s in micro} == {0.25}


def test_packing_counts_the_tokens_of_both_rows():
    # Packed, the four pairs have 12 + 16 + 11 + 2 = 41 tokens.
    pairs = [(9, 3), (8, 8), (2, 9), (1, 1)]
    assert len(plan_forward(pairs, 1, BatchLimits(max_tokens=41, packing=True))[0]) == 1
    assert len(plan_forward(pairs, 1, BatchLimits(max_tokens=40, packing=True))[0]) == 2


def test_masked_samples_are_dropped_and_steps_stay_full():
    samples = [make_sample(5, n, is_masked=n % 2 == 0) for n in range(16)]
    steps = plan(samples, ranks=2, batch=4)
    assert len(steps) == 4  # as without a mask: the learning rate's schedule counts on it
    assert [sum(len(numbers(rank)) for rank in step) for step in steps] == [2] * 4
    assert all(len(numbers(rank)) == 1 for step in steps for rank in step)
    trained = sorted(n for step in steps for rank in step for n in numbers(rank))
    assert trained == list(range(1, 16, 2))


def test_fewer_live_samples_than_steps_leave_out_empty_steps():
    samples = [make_sample(5, n, is_masked=n > 0) for n in range(16)]
    (step,) = plan(samples, ranks=2, batch=4)
    assert [numbers(rank) for rank in step] == [[0], []]
    assert [len(rank.micro_batches) for rank in step] == [1, 1]


def test_nothing_to_train_on_makes_no_step():
    assert plan([make_sample(5, is_masked=True)] * 4) == []
    assert plan([]) == []


def test_ten_thousand_samples_are_planned_at_once():
    lengths = np.random.default_rng(0).integers(10, 2000, size=10_000)
    shares = share_out(list(lengths), 64, BatchLimits(max_tokens=16384))
    loads = [sum(lengths[i] for batch in share for i in batch) for share in shares]
    assert max(loads) / min(loads) < 1.01
