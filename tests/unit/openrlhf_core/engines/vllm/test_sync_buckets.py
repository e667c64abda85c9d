import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from openrlhf_core.engines.protocols import WeightInfo
from openrlhf_core.engines.weight_sync.buckets import (
    Bucket,
    pack,
    plan_buckets,
    unpack,
    weight_bytes,
)

infos = st.builds(
    WeightInfo,
    name=st.text(min_size=1, max_size=5),
    dtype=st.sampled_from(["float32", "bfloat16", "float64"]),
    shape=st.lists(st.integers(1, 5), max_size=3).map(tuple),
)


def test_weights_fill_buckets_in_order() -> None:
    # 64-byte buckets; embed 6*4*4 = 96 goes alone, norm 12 + up 48 = 60 share one, gate (bfloat16)
    # and scale (float32) begin one each.
    weights = [
        WeightInfo("embed", "float32", (6, 4)),
        WeightInfo("norm", "float32", (3,)),
        WeightInfo("up", "float32", (4, 3)),
        WeightInfo("gate", "bfloat16", (2, 4)),
        WeightInfo("scale", "float32", ()),
    ]
    plan = plan_buckets(weights, bucket_bytes=64)
    names = [[weight.name for weight in bucket.weights] for bucket in plan]
    assert names == [["embed"], ["norm", "up"], ["gate"], ["scale"]]
    assert [bucket.num_bytes for bucket in plan] == [96, 60, 16, 4]


def test_a_bucket_may_be_exactly_full() -> None:
    weights = [WeightInfo(name, "float32", (8,)) for name in "abc"]
    assert [bucket.num_bytes for bucket in plan_buckets(weights, 64)] == [64, 32]


def test_no_weights_make_no_buckets() -> None:
    assert plan_buckets([], 64) == []


@given(st.lists(infos, max_size=20), st.integers(1, 400))
def test_a_plan_keeps_every_weight_once_and_no_bucket_mixes_or_overflows(weights, size) -> None:
    plan = plan_buckets(weights, size)
    assert [weight for bucket in plan for weight in bucket.weights] == weights
    for bucket in plan:
        assert len({weight.dtype for weight in bucket.weights}) == 1
        assert bucket.num_bytes <= size or len(bucket.weights) == 1


@given(st.lists(infos, max_size=20), st.integers(1, 400))
def test_a_plan_is_as_short_as_its_order_allows(weights, size) -> None:
    for left, right in zip(plan := plan_buckets(weights, size), plan[1:], strict=False):
        follower = right.weights[0]
        same = follower.dtype == left.weights[0].dtype
        assert not same or left.num_bytes + weight_bytes(follower) > size


def test_what_is_packed_is_unpacked_bit_for_bit(weights, announce) -> None:
    buffer = torch.empty(1 << 10, dtype=torch.uint8)
    stream = iter(weights)
    restored = [
        (name, tensor.clone())
        for bucket in plan_buckets(announce(weights), 64)
        for name, tensor in unpack(bucket, pack(bucket, stream, buffer))
    ]
    assert [name for name, _ in restored] == [name for name, _ in weights]
    for (_, tensor), (_, original) in zip(restored, weights, strict=True):
        assert tensor.dtype == original.dtype
        assert torch.equal(tensor, original)


def test_a_tensor_that_is_overwritten_by_the_next_one_is_copied_in_time() -> None:
    scratch = torch.empty(4)

    def gathered():
        for number in range(3):
            yield f"w{number}", scratch.fill_(number)

    bucket = Bucket(tuple(WeightInfo(f"w{number}", "float32", (4,)) for number in range(3)))
    flat = pack(bucket, gathered(), torch.empty(48, dtype=torch.uint8))
    assert [tensor[0].item() for _, tensor in unpack(bucket, flat)] == [0, 1, 2]


@pytest.mark.parametrize(
    "yielded",
    [
        ("b", torch.zeros(2)),
        ("a", torch.zeros(3)),
        ("a", torch.zeros(2, dtype=torch.float64)),
    ],
)
def test_a_weight_that_is_not_the_announced_one_is_refused_by_name(yielded) -> None:
    bucket = Bucket((WeightInfo("a", "float32", (2,)),))
    with pytest.raises(ValueError, match=r"announced WeightInfo\(name='a'"):
        pack(bucket, iter([yielded]), torch.empty(8, dtype=torch.uint8))


def test_a_weight_that_never_comes_is_named() -> None:
    bucket = Bucket((WeightInfo("a", "float32", (2,)),))
    with pytest.raises(ValueError, match="no weight where a was announced"):
        pack(bucket, iter([]), torch.empty(8, dtype=torch.uint8))


def test_a_dtype_that_torch_lacks_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'float3'"):
        weight_bytes(WeightInfo("a", "float3", (2,)))
