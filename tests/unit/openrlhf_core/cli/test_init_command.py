"""`rlhf init`."""

from typing import get_args

import pytest

from openrlhf_core.spec.kinds.recipes import RECIPES
from openrlhf_core.spec.kinds.rl import Algorithm
from openrlhf_core.spec.reading.validate import judge_content


def job_of(ended):
    found = judge_content(ended.out.encode(), "init")
    assert found.problems == ()
    (job,) = found.jobs
    return job


@pytest.mark.parametrize("algorithm", get_args(Algorithm))
def test_every_algorithm_gives_a_sound_manifest(rlhf, algorithm):
    ended = rlhf("init", "--algorithm", algorithm)
    assert ended.code == 0
    assert job_of(ended).spec.training.rl.algorithm == algorithm
    assert ended.out.count("#") > 5


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_gives_a_sound_manifest_that_places_its_roles(rlhf, recipe):
    ended = rlhf("init", "--recipe", recipe)
    assert ended.code == 0
    training = job_of(ended).spec.training
    assert training.recipe == recipe
    assert training.placement.groups[0].roles == tuple(RECIPES[recipe].roles)


def test_options_are_carried_over_whatever_they_look_like(rlhf):
    ended = rlhf("init", "--model", "no", "--data", "a: b #c", "--reward", "x.py", "--name", "yes")
    job = job_of(ended)
    assert job.metadata.name == "yes"
    assert job.spec.training.model.policy.source == "no"
    assert job.spec.training.data.train[0].source == "a: b #c"
    assert job.spec.training.learner.dtype == "BFloat16"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--algorithm", "grpo"], "--algorithm grpo: use one of GRPO"),
        (["--recipe", "sft"], "--recipe sft: use one of RL, SFT, DPO"),
        (["--model", "s3://a/b"], "s3:// sources are not supported yet"),
        (["--name", "Bad Name"], "metadata.name"),
        (["--model", ""], "spec.training.model.policy.source"),
    ],
)
def test_a_wrong_option_is_said(rlhf, arguments, message):
    ended = rlhf("init", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
