"""Advantages and returns agree with expected values that are not ours."""

import numpy as np
import oracle_cases
import pytest

from openrlhf_core.algorithms.advantages import RaggedTokens, compute_advantages
from openrlhf_core.algorithms.gae import generalized_advantages

GAE = (
    "gae-monte-carlo",
    "gae-one-step",
    "gae",
    "gae-row-without-actions",
    "gae-gap-lambda-1",
    "gae-gap",
)
NO_CRITIC = "recipe RL has no critic yet: estimator GAE is no option of compute_advantages"
LEFT_OUT = {
    "clip-range-after-shaping": "the option reward.clipRange does not exist yet",
    "ppo-whitened": NO_CRITIC,
    "ppo-center-only": NO_CRITIC,
    **dict.fromkeys(GAE, "tested below, without scores"),
}


def rows(values, dtype=np.float32):
    return [np.array(row, dtype) for row in values]


def of_scores(case, normalization):
    inputs, settings = case.inputs, case.settings
    kl = inputs["kl"]
    return compute_advantages(
        np.array([np.nan if score is None else score for score in inputs["scores"]]),
        np.array(inputs["group_ids"]),
        rows(inputs["action_masks"], bool),
        None if kl is None else rows(kl),
        estimator=settings["estimator"],
        gamma=settings["gamma"],
        normalization=normalization,
        kl_coefficient=settings["kl_coefficient"],
    )


@pytest.mark.parametrize("case", oracle_cases.cases("advantages", LEFT_OUT))
def test_advantages_and_returns_agree_with_the_oracle(case):
    case.assert_agrees(of_scores(case, case.settings["normalization"]), case.expected["advantages"])
    case.assert_agrees(of_scores(case, "None"), case.expected["returns"])


@pytest.mark.parametrize("case", oracle_cases.chosen("advantages", GAE))
def test_generalized_advantages_agree_with_the_oracle(case):
    masks = rows(case.inputs["action_masks"], bool)
    mask = np.concatenate(masks)

    def of_actions(values):
        return oracle_cases.flat(values)[mask]

    found = generalized_advantages(
        of_actions(case.inputs["token_rewards"]),
        of_actions(case.inputs["values"]),
        RaggedTokens.of(masks).owners,
        gamma=case.settings["gamma"],
        lam=case.settings["lambda"],
    )
    case.assert_agrees(found[0], of_actions(case.expected["advantages"]))
    case.assert_agrees(found[1], of_actions(case.expected["returns"]))
