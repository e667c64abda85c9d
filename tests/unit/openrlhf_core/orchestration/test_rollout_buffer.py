"""The buffer between generation and learning: order, bound, what is dropped."""

import numpy as np
import pytest

from openrlhf_core.engines.protocols import Completion, RequestId
from openrlhf_core.orchestration.rollout_buffer import RolloutBuffer

FIRST, SECOND, THIRD = (RequestId(prompt, 0) for prompt in range(3))


def completion(request_id: RequestId) -> Completion:
    nothing = np.zeros(0, np.int32)
    return Completion(request_id, nothing, nothing.astype(np.float32), nothing, "stop")


def buffer_of(*request_ids: RequestId, capacity: int = 3) -> RolloutBuffer:
    buffer = RolloutBuffer(capacity)
    buffer.expect(request_ids)
    return buffer


def test_completions_are_taken_in_the_order_of_submission() -> None:
    buffer = buffer_of(FIRST, SECOND, THIRD)
    buffer.add(completion(THIRD))
    buffer.add(completion(FIRST))
    assert not buffer.is_ready(2)
    buffer.add(completion(SECOND))
    assert buffer.is_ready(2)
    assert [each.request_id for each in buffer.take(2)] == [FIRST, SECOND]
    assert [each.request_id for each in buffer.take(1)] == [THIRD]


def test_a_request_takes_room_until_its_completion_is_taken() -> None:
    buffer = buffer_of(FIRST, SECOND)
    assert buffer.room == 1
    buffer.add(completion(FIRST))
    assert buffer.room == 1
    buffer.take(1)
    assert buffer.room == 2


def test_requests_beyond_the_capacity_are_an_error() -> None:
    with pytest.raises(ValueError, match="3 requests do not fit a rollout buffer with room for 2"):
        buffer_of(FIRST, SECOND, THIRD, capacity=2)


def test_dropped_requests_give_their_room_back() -> None:
    buffer = buffer_of(FIRST, SECOND, THIRD)
    buffer.add(completion(FIRST))
    buffer.add(completion(THIRD))
    buffer.drop([FIRST, SECOND])
    assert buffer.room == 2
    assert [each.request_id for each in buffer.take(1)] == [THIRD]


def test_more_completions_than_were_submitted_cannot_be_waited_for() -> None:
    with pytest.raises(ValueError, match="2 completions are asked for, 1 submitted"):
        buffer_of(FIRST).is_ready(2)
