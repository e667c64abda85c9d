from openrlhf_core.engines.protocols import SyncGroup, WeightInfo
from openrlhf_core.engines.weight_sync.receiver import make_receiver

GROUP = SyncGroup("10.0.0.7", 29500, world_size=5, timeout_seconds=30.0, bucket_bytes=1 << 20)
WEIGHTS = [WeightInfo("a", "float32", (2, 3)), WeightInfo("b", "bfloat16", (4,))]
COLUMNS = {"names": ["a", "b"], "dtype_names": ["float32", "bfloat16"], "shapes": [[2, 3], [4]]}


def test_our_gloo_transport_is_told_everything_when_it_connects() -> None:
    receiver = make_receiver("gloo", GROUP, first_rank=3, num_workers=2, weights=WEIGHTS)
    assert receiver.init_info == {
        "host": "10.0.0.7",
        "port": 29500,
        "first_rank": 3,
        "world_size": 5,
        "timeout_seconds": 30.0,
        "bucket_bytes": 1 << 20,
        **COLUMNS,
    }
    assert list(receiver.updates()) == [{}]


def test_nccl_is_told_the_weights_each_round() -> None:
    receiver = make_receiver("nccl", GROUP, first_rank=3, num_workers=2, weights=WEIGHTS)
    assert receiver.init_info["rank_offset"] == 3
    assert receiver.init_info["world_size"] == 5
    assert receiver.init_info["packed_buffer_size_bytes"] == 1 << 20
    assert list(receiver.updates()) == [COLUMNS]
    assert list(receiver.updates()) == [COLUMNS]
