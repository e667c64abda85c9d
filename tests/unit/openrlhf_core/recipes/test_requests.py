"""Requests: prompt order, seeds that depend on four numbers alone."""

import numpy as np

from openrlhf_core.engines.protocols import Completion, RequestId
from openrlhf_core.recipes.rl.requests import make_requests, make_rollouts, request_seed
from openrlhf_core.samples import Prompt


def make_prompt(prompt_id: int) -> Prompt:
    return Prompt(prompt_id, f"prompt {prompt_id}", np.array([prompt_id, 7], dtype=np.int32))


def test_the_requests_of_a_prompt_lie_side_by_side() -> None:
    requests = make_requests([make_prompt(4), make_prompt(9)], 2, run_seed=1, max_tokens=5)
    assert [request.prompt_ids[0] for request in requests] == [4, 4, 9, 9]
    assert [request.request_id for request in requests] == [(4, 0), (4, 1), (9, 0), (9, 1)]
    assert {request.max_tokens for request in requests} == {5}


def test_seeds_differ_in_every_number_and_repeat() -> None:
    ids = [RequestId(prompt, sample) for prompt in range(4) for sample in range(4)]
    seeds = {request_seed(run, request_id) for run in range(4) for request_id in ids}
    assert len(seeds) == 4 * len(ids)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert request_seed(1, RequestId(3, 4)) == request_seed(1, RequestId(3, 4))


def test_a_prompt_is_drawn_alike_whichever_prompts_are_submitted_with_it() -> None:
    together = make_requests([make_prompt(4), make_prompt(9)], 2, run_seed=1, max_tokens=5)
    alone = make_requests([make_prompt(9)], 2, run_seed=1, max_tokens=5)
    assert [each.seed for each in alone] == [each.seed for each in together[2:]]


def make_completion(prompt_id: int, sample: int, version: int = 6) -> Completion:
    ids, logprobs = np.array([sample, 1], np.int32), np.array([-0.25, -0.5], np.float32)
    versions = np.array([version, version + 1], np.int32)
    return Completion(RequestId(prompt_id, sample), ids, logprobs, versions, "length")


def test_rollouts_join_completions_to_their_prompts() -> None:
    completions = [make_completion(9, 1), make_completion(4, 0), make_completion(9, 0)]
    rollouts = make_rollouts([make_prompt(4), make_prompt(9)], completions)
    assert [(r.group_id, r.sample_index) for r in rollouts] == [(9, 1), (4, 0), (9, 0)]
    assert [r.prompt.text for r in rollouts] == ["prompt 9", "prompt 4", "prompt 9"]


def test_a_rollout_tells_the_prompts_tokens_from_those_that_the_policy_made() -> None:
    (rollout,) = make_rollouts([make_prompt(4)], [make_completion(4, 3)])
    assert rollout.token_ids.tolist() == [4, 7, 3, 1]
    assert rollout.completion_ids.tolist() == [3, 1]
    assert rollout.action_mask.tolist() == [False, False, True, True]
    assert rollout.logprobs.tolist() == [0, 0, -0.25, -0.5]
    assert rollout.versions.tolist() == [-1, -1, 6, 7]
    assert rollout.is_truncated
    dtypes = [rollout.token_ids.dtype, rollout.logprobs.dtype, rollout.versions.dtype]
    assert dtypes == [np.int32, np.float32, np.int32]
