"""The group of rollout engines: who completes what, in which order answers come."""

import fakes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrlhf_core.engines.protocols import GenerationRequest, RequestId
from openrlhf_core.orchestration.actor_group import ActorGroup
from openrlhf_core.orchestration.rollouts import RolloutGroup, assign


def make_requests(prompts: range, group_size: int = 2) -> list[GenerationRequest]:
    return [
        GenerationRequest(RequestId(prompt, sample), np.array([prompt], np.int32), sample, 2)
        for prompt in prompts
        for sample in range(group_size)
    ]


def make_group(*engines: fakes.FakeEngine, capacity: int = 16) -> RolloutGroup:
    handles = [fakes.Handle(engine) for engine in engines]
    return RolloutGroup(ActorGroup("engine", handles, fakes.collect), 1, capacity, fakes.collect)


@given(st.integers(1, 20), st.integers(1, 5), st.integers(1, 4))
def test_every_request_goes_to_one_engine_in_whole_prompts(
    num_prompts: int, group_size: int, num_engines: int
) -> None:
    requests = make_requests(range(num_prompts), group_size)
    shares = assign(requests, num_engines)
    assert sorted(r.request_id for share in shares for r in share) == [
        request.request_id for request in requests
    ]
    prompts = [{request.request_id.prompt_id for request in share} for share in shares]
    assert sum(len(each) for each in prompts) == num_prompts
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= group_size


def test_completions_come_in_the_order_of_their_requests() -> None:
    engines = [fakes.FakeEngine(completions_per_poll=1), fakes.FakeEngine(completions_per_poll=3)]
    group = make_group(*engines)
    requests = make_requests(range(3))
    group.submit(requests)
    taken = group.take(6)
    assert [each.request_id for each in taken] == [request.request_id for request in requests]
    assert [len(engine.requests) for engine in engines] == [4, 2]


def test_an_engine_without_requests_is_not_asked() -> None:
    busy, idle = fakes.FakeEngine(), fakes.FakeEngine()
    group = make_group(busy, idle)
    group.submit(make_requests(range(1)))
    group.take(2)
    assert busy.diary == ["engine generates"]
    assert idle.diary == []


def test_the_oldest_requests_may_be_taken_while_others_are_under_way() -> None:
    engine = fakes.FakeEngine(completions_per_poll=2)
    group = make_group(engine)
    group.submit(make_requests(range(3)))
    assert [each.request_id.prompt_id for each in group.take(2)] == [0, 0]
    assert len(engine.under_way) == 4
    assert [each.request_id.prompt_id for each in group.take(4)] == [1, 1, 2, 2]


def test_generation_cannot_run_ahead_of_the_capacity() -> None:
    group = make_group(fakes.FakeEngine(), capacity=4)
    group.submit(make_requests(range(2)))
    with pytest.raises(ValueError, match="room for 0"):
        group.submit(make_requests(range(2, 3)))
    group.take(4)
    group.submit(make_requests(range(2, 4)))


def test_aborted_requests_are_neither_generated_nor_waited_for() -> None:
    engines = fakes.FakeEngine(), fakes.FakeEngine()
    group = make_group(*engines, capacity=6)
    group.submit(make_requests(range(3)))
    group.abort([RequestId(0, 1), RequestId(1, 0)])
    assert [len(engine.under_way) for engine in engines] == [3, 1]
    assert [each.request_id for each in group.take(4)] == [(0, 0), (1, 1), (2, 0), (2, 1)]


def test_a_paused_engine_draws_no_token_until_it_is_resumed() -> None:
    engine = fakes.FakeEngine()
    group = make_group(engine)
    group.submit(make_requests(range(1)))
    group.pause()
    assert engine.poll(1.0) == []
    group.resume()
    assert len(group.take(2)) == 2
