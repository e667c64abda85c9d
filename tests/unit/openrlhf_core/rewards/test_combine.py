"""Several functions become one score; which completions share a call."""

import numpy as np
from sample_builders import make_rollout

from openrlhf_core.rewards.combine import combine
from openrlhf_core.rewards.requests import make_request, split_calls
from openrlhf_core.rewards.source import PartScores
from openrlhf_core.samples import Prompt, Rollout


def rollout_of(prompt_id: int, sample_index: int = 0, **columns: object) -> Rollout:
    prompt = Prompt(prompt_id, f"p{prompt_id}", np.zeros(1, np.int32), f"l{prompt_id}", columns)
    return make_rollout(prompt, sample_index=sample_index)


def test_scores_add_up_by_weight():
    # 0.5 x 2 + (-1) x 3 = -2 and 0.5 x 4 + (-1) x 0 = 2
    parts = [PartScores("a", 0.5, [2.0, 4.0]), PartScores("b", -1.0, [3.0, 0.0])]
    scored = combine([rollout_of(0), rollout_of(1)], parts)
    assert [each.score for each in scored] == [-2.0, 2.0]
    assert scored[0].parts == {"a": 2.0, "b": 3.0}
    assert scored[1].rollout.group_id == 1


def test_a_failed_part_masks_the_sample_and_keeps_the_others():
    parts = [PartScores("a", 1.0, [2.0, 1.0]), PartScores("b", 1.0, [None, 1.0])]
    scored = combine([rollout_of(0), rollout_of(1)], parts)
    assert [each.score for each in scored] == [None, 2.0]
    assert scored[0].parts == {"a": 2.0}


def test_a_score_of_zero_is_no_failure():
    (scored,) = combine([rollout_of(0)], [PartScores("a", 1.0, [0.0])])
    assert scored.score == 0.0


def test_a_call_scores_one_prompts_group_by_default():
    rollouts = [rollout_of(prompt, sample) for prompt in (4, 7) for sample in range(3)]
    assert split_calls(rollouts, None) == [range(3), range(3, 6)]


def test_a_batch_size_cuts_without_regard_to_groups():
    rollouts = [rollout_of(0, sample) for sample in range(5)]
    assert split_calls(rollouts, 2) == [range(2), range(2, 4), range(4, 5)]
    assert split_calls([], None) == split_calls([], 2) == []


def test_a_request_holds_columns_of_any_row_and_none_where_it_lacks_them():
    request = make_request([rollout_of(1, level=3), rollout_of(2, kind="x")], ["p1a", "p2b"])
    assert request.queries == ["p1a", "p2b"]
    assert request.prompts == ["p1", "p2"]
    assert request.labels == ["l1", "l2"]
    assert request.columns == {"level": [3, None], "kind": [None, "x"]}
