"""Requests: prompt order, seeds that depend on four numbers alone."""

import numpy as np

from openrlhf_core.engines.protocols import Completion
from openrlhf_core.recipes.rl.requests import make_requests, make_rollouts, request_seed
from openrlhf_core.samples import Prompt


def make_prompt(prompt_id: int) -> Prompt:
    return Prompt(prompt_id, f"prompt {prompt_id}", np.array([prompt_id, 7], dtype=np.int32))


def test_the_requests_of_a_prompt_lie_side_by_side() -> None:
    requests = make_requests([make_prompt(4), make_prompt(9)], 2, run_seed=1, step=3, max_tokens=5)
    assert [request.prompt_ids[0] for request in requests] == [4, 4, 9, 9]
    assert [request.seed for request in requests] == [
        request_seed(1, 3, prompt_id, sample) for prompt_id in (4, 9) for sample in (0, 1)
    ]
    assert {request.max_tokens for request in requests} == {5}


def test_seeds_differ_in_every_number_and_repeat() -> None:
    numbers = [(s, t, p, i) for s in range(3) for t in range(3) for p in range(3) for i in range(3)]
    seeds = {request_seed(*each) for each in numbers}
    assert len(seeds) == len(numbers)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert request_seed(1, 2, 3, 4) == request_seed(1, 2, 3, 4)


def test_rollouts_join_completions_to_prompts_in_order() -> None:
    prompts = [make_prompt(4), make_prompt(9)]
    completions = [
        Completion(np.array([i], dtype=np.int32), np.zeros(1, dtype=np.float32), "stop")
        for i in range(4)
    ]
    rollouts = make_rollouts(prompts, completions, group_size=2, policy_version=6)
    assert [(r.group_id, r.sample_index, int(r.completion_ids[0])) for r in rollouts] == [
        (4, 0, 0),
        (4, 1, 1),
        (9, 0, 2),
        (9, 1, 3),
    ]
    assert {r.policy_version for r in rollouts} == {6}
    assert list(rollouts[2].token_ids) == [9, 7, 2]
