import os
import subprocess
import sys
from dataclasses import replace
from time import monotonic

import pytest
import torch

from openrlhf_core.engines.weight_sync.buckets import plan_buckets, unpack
from openrlhf_core.engines.weight_sync.deadline import Deadline
from openrlhf_core.engines.weight_sync.gloo_group import GlooGroup
from openrlhf_core.engines.weight_sync.sender import GatheringSender, make_sender
from openrlhf_core.spec.exit_codes import RetryableError

JOINED_SECONDS = 3.0
"""A limit that a sender runs into, and in which even a busy machine joins a group of two."""


def receive(group, member, infos, reports=None):
    """One round as an engine worker takes it; `reports` are the bytes it says it took."""
    deadline = Deadline(group.timeout_seconds)
    plan = plan_buckets(infos, group.bucket_bytes)
    arrived: dict[str, torch.Tensor] = {}
    for number, bucket in enumerate(plan):
        flat = torch.empty(bucket.num_bytes, dtype=torch.uint8)
        member.broadcast(flat, f"bucket {number} did not arrive", deadline)
        arrived.update(unpack(bucket, flat))
    num_bytes = sum(bucket.num_bytes for bucket in plan)
    member.total(num_bytes if reports is None else reports, "no end of the round", deadline)
    return arrived


def test_every_worker_gets_every_weight_round_after_round(
    make_group, weights, announce, in_thread
) -> None:
    group, infos = make_group(world_size=3), announce(weights)
    joins = [in_thread(lambda rank=rank: GlooGroup(group, rank)) for rank in (1, 2)]
    sender = make_sender("gloo", group, infos, rank=0)
    members = [join.get() for join in joins]
    for factor in (1, 2):
        scaled = [(name, tensor * factor) for name, tensor in weights]
        takes = [in_thread(lambda m=member: receive(group, m, infos)) for member in members]
        sender.send(iter(scaled))
        for take in takes:
            arrived = take.get()
            assert all(torch.equal(arrived[name], tensor) for name, tensor in scaled)
    for member in (sender, *members):
        member.close()


def test_ranks_but_the_first_join_no_group_and_use_their_weights_up(make_group, weights) -> None:
    sender = make_sender("gloo", make_group(), [], rank=1)
    stream = iter(weights)
    sender.send(stream)
    assert isinstance(sender, GatheringSender)
    assert next(stream, None) is None


def test_a_group_that_is_not_complete_in_time_is_a_retryable_error(make_group) -> None:
    group = make_group(timeout_seconds=0.3)
    with pytest.raises(RetryableError, match="rank 0 of 2 did not meet the others"):
        GlooGroup(group, 0)


def test_an_engine_without_a_learner_gives_up_in_time(make_group) -> None:
    group = make_group(timeout_seconds=0.3)
    with pytest.raises(RetryableError, match="rank 1 of 2 did not meet the others"):
        GlooGroup(group, 1)


def test_a_learner_that_sends_nothing_is_named_after_the_timeout(make_group, in_thread) -> None:
    group = make_group()
    join = in_thread(lambda: GlooGroup(group, 0))
    member, learner = GlooGroup(group, 1), join.get()
    started = monotonic()
    with pytest.raises(RetryableError, match="bucket 1 did not arrive"):
        member.broadcast(
            torch.empty(8, dtype=torch.uint8), "bucket 1 did not arrive", Deadline(0.5)
        )
    assert monotonic() - started < 5
    learner.close()
    member.close()


def test_an_engine_that_takes_nothing_stops_the_sender_at_its_bucket(
    make_group, weights, announce, in_thread
) -> None:
    group = make_group(timeout_seconds=JOINED_SECONDS)
    join = in_thread(lambda: GlooGroup(group, 1))
    sender = make_sender("gloo", group, announce(weights), rank=0)
    member = join.get()
    with pytest.raises(RetryableError, match=r"bucket 1 of 4, embed to embed .* was not taken"):
        sender.send(iter(weights))
    member.close()


def test_an_engine_that_never_confirms_stops_the_sender(
    make_group, weights, announce, in_thread
) -> None:
    group, infos = make_group(timeout_seconds=JOINED_SECONDS), announce(weights)
    join = in_thread(lambda: GlooGroup(group, 1))
    sender = make_sender("gloo", group, infos, rank=0)
    member = join.get()

    def take_all_and_fall_silent() -> None:
        for bucket in plan_buckets(infos, group.bucket_bytes):
            member.broadcast(torch.empty(bucket.num_bytes, dtype=torch.uint8), "", Deadline(5))

    take = in_thread(take_all_and_fall_silent)
    with pytest.raises(RetryableError, match="did not confirm the last bucket"):
        sender.send(iter(weights))
    take.get()
    member.close()


def test_a_worker_that_reports_too_few_bytes_fails_the_round(
    make_group, weights, announce, in_thread
) -> None:
    group, infos = make_group(), announce(weights)
    join = in_thread(lambda: GlooGroup(group, 1))
    sender = make_sender("gloo", group, infos, rank=0)
    member = join.get()
    take = in_thread(lambda: receive(group, member, infos, reports=7))
    with pytest.raises(RetryableError, match="took 7 bytes in all"):
        sender.send(iter(weights))
    take.get()
    member.close()


@pytest.mark.parametrize("kept", [3, 6])
def test_weights_that_were_not_announced_fail_both_sides_at_once(
    make_group, weights, announce, in_thread, kept
) -> None:
    group, infos = make_group(timeout_seconds=60), announce(weights)
    join = in_thread(lambda: GlooGroup(group, 1))
    sender = make_sender("gloo", group, infos, rank=0)
    member = join.get()
    take = in_thread(lambda: receive(group, member, infos))
    started = monotonic()
    with pytest.raises(ValueError, match="announced"):
        sender.send(iter([*weights, ("surprise", torch.zeros(1))][:kept]))
    with pytest.raises(RetryableError):
        take.get()
    assert monotonic() - started < 10
    member.close()


DYING_LEARNER = """
import os, sys, torch
from openrlhf_core.engines.protocols import SyncGroup
from openrlhf_core.engines.weight_sync.deadline import Deadline
from openrlhf_core.engines.weight_sync.gloo_group import GlooGroup
member = GlooGroup(SyncGroup("127.0.0.1", int(sys.argv[1]), 2, 30.0, 64), 0)
member.broadcast(torch.full((8,), 5, dtype=torch.uint8), "first", Deadline(30))
os._exit(9)
"""


def test_a_learner_process_that_dies_is_noticed_before_the_timeout(make_group) -> None:
    group = replace(make_group(), timeout_seconds=30.0)
    learner = subprocess.Popen(
        [sys.executable, "-c", DYING_LEARNER, str(group.port)],
        env=os.environ | {"PYTHONPATH": os.getcwd()},
    )
    member = GlooGroup(group, 1)
    flat = torch.empty(8, dtype=torch.uint8)
    member.broadcast(flat, "bucket 1", Deadline(30))
    assert flat.tolist() == [5] * 8
    started = monotonic()
    with pytest.raises(RetryableError, match="bucket 2"):
        member.broadcast(flat, "bucket 2", Deadline(30))
    assert monotonic() - started < 15
    assert learner.wait(10) == 9
    member.close()


def test_a_closed_group_refuses_to_send(make_group, in_thread) -> None:
    group = make_group()
    join = in_thread(lambda: GlooGroup(group, 1))
    member = GlooGroup(group, 0)
    other = join.get()
    member.close()
    with pytest.raises(RetryableError, match="the group is closed"):
        member.total(1, "x", Deadline(1))
    other.close()
