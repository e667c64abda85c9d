import json
from time import monotonic

import pytest
import torch

from openrlhf_core.engines.weight_sync.ipc_channel import (
    IpcPublisher,
    IpcSubscriber,
    decode_update,
    encode_update,
)
from openrlhf_core.spec.exit_codes import RetryableError


def make_update(name: str = "a") -> dict[str, object]:
    """What vLLM's packed CUDA IPC sends for one buffer of 24 bytes."""
    handle = (
        torch.Tensor,
        torch.Size([24]),
        (1,),
        0,
        torch.storage.TypedStorage,
        torch.uint8,
        0,
        b"\x00handle\xff",
        2 << 20,
        512,
        False,
        b"counter",
        3,
        b"event",
        True,
    )
    return {
        "names": [name],
        "dtype_names": ["float32"],
        "shapes": [[2, 3]],
        "tensor_sizes": [24],
        "ipc_handles": {"GPU-uuid-0": handle, "GPU-uuid-1": handle},
    }


def test_an_update_survives_json() -> None:
    assert decode_update(json.loads(json.dumps(encode_update(make_update())))) == make_update()


def test_two_engines_take_every_update_before_the_learner_goes_on(make_group, in_thread) -> None:
    # world_size 4: the learner, an engine of two workers, an engine of one.
    group = make_group(world_size=4)
    publisher = IpcPublisher(group)
    engines = [IpcSubscriber(group, num_workers=2), IpcSubscriber(group, num_workers=1)]
    for _ in range(2):
        seen: list[str] = []

        def take(engine, seen=seen) -> None:
            for update in engine.updates():
                seen.append(update["names"][0])
            engine.confirm()

        takes = [in_thread(lambda engine=engine: take(engine)) for engine in engines]
        publisher.start_weight_update()
        publisher.update_weights(make_update("first"))
        assert sorted(seen) == ["first", "first"]
        publisher.update_weights(make_update("second"))
        publisher.finish_weight_update()
        for outcome in takes:
            outcome.get()
        assert sorted(seen) == ["first", "first", "second", "second"]


def test_an_engine_that_is_gone_stops_the_learner_in_time(make_group) -> None:
    publisher = IpcPublisher(make_group(timeout_seconds=0.3))
    publisher.start_weight_update()
    started = monotonic()
    with pytest.raises(RetryableError, match="the engines did not take message ipc/0"):
        publisher.update_weights(make_update())
    assert monotonic() - started < 5


def test_a_learner_that_says_nothing_stops_the_engine_in_time(make_group) -> None:
    group = make_group(timeout_seconds=0.3)
    publisher = IpcPublisher(group)
    engine = IpcSubscriber(group, num_workers=1)
    with pytest.raises(RetryableError, match="message ipc/0 did not arrive"):
        next(engine.updates())
    del publisher


def test_an_engine_without_a_learner_gives_up_in_time(make_group) -> None:
    with pytest.raises(RetryableError, match="the learner does not answer"):
        IpcSubscriber(make_group(timeout_seconds=0.3), num_workers=1)
