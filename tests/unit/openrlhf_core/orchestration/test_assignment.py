"""Static assignment of requests to engines."""

from hypothesis import given
from hypothesis import strategies as st

from openrlhf_core.orchestration.rollouts import assign


@given(st.integers(1, 20), st.integers(1, 5), st.integers(1, 4))
def test_assignment_gives_every_request_to_one_engine_in_whole_groups(
    num_prompts: int, group_size: int, num_engines: int
) -> None:
    shares = assign(num_prompts * group_size, group_size, num_engines)
    requests = sorted(index for share in shares for index in share)
    assert requests == list(range(num_prompts * group_size))
    for share in shares:
        assert len(share) % group_size == 0
        assert share == sorted(share)
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= group_size
