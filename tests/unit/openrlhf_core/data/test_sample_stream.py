"""A stream of samples depends on its datasets, the seed and the data cursor alone."""

from hypothesis import given
from hypothesis import strategies as st

from openrlhf_core.data.sample_stream import SampleDataset, SampleStream


def make_stream(weight: float = 1.0, digest: str = "a", seed: int = 1) -> SampleStream[int]:
    return SampleStream(
        [
            SampleDataset("ones", 1.0, range(100, 110), "x"),
            SampleDataset("twos", weight, range(200, 205), digest),
        ],
        seed,
    )


def test_an_epoch_takes_every_sample_once() -> None:
    stream = make_stream()
    assert stream.epoch_size == 15
    assert sorted(stream.batch(0, 15)) == [*range(100, 110), *range(200, 205)]
    assert stream.batch(0, 15) != stream.batch(15, 15)


def test_a_weight_repeats_a_dataset_within_an_epoch() -> None:
    drawn = make_stream(weight=2.0).batch(0, 20)
    assert all(drawn.count(sample) == 2 for sample in range(200, 205))


def test_batches_from_a_cursor_are_the_same_however_they_are_cut() -> None:
    stream = make_stream()
    whole = stream.batch(7, 12)
    assert stream.batch(7, 5) + stream.batch(12, 7) == whole
    assert make_stream().batch(7, 12) == whole
    assert make_stream(seed=2).batch(7, 12) != whole


@given(st.integers(0, 50), st.integers(1, 12), st.integers(1, 4))
def test_any_number_of_ranks_shares_out_the_same_order(cursor: int, count: int, ranks: int) -> None:
    stream = make_stream()
    shares = [stream.batch(cursor + rank * count, count) for rank in range(ranks)]
    assert [sample for share in shares for sample in share] == stream.batch(cursor, count * ranks)


def test_the_fingerprint_changes_with_the_content_and_the_mix() -> None:
    prints = {make_stream(w, d).fingerprint for w, d in ((1.0, "a"), (2.0, "a"), (1.0, "b"))}
    assert len(prints) == 3
    assert make_stream().fingerprint == make_stream().fingerprint
