"""Every example validates, plans, and is an object that a bare API server accepts."""

from pathlib import Path

import pytest

from openrlhf_core.cli.plan import make_report
from openrlhf_core.cli.plan_table import render
from openrlhf_core.spec.planning.resolve import resolve
from openrlhf_core.spec.reading.validate import read_manifests

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))


def test_the_quickstart_is_among_the_examples():
    assert "quickstart-grpo.yaml" in [path.name for path in EXAMPLES]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_validates_and_plans(path):
    found = read_manifests(path)
    assert found.problems == ()
    for job in found.jobs:
        assert resolve(job.spec.training).plan.num_devices >= 1
        report = make_report(job, path.parent, device_bytes=80 * 2**30, model_config=None)
        assert job.metadata.name in render(report)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_written_out_again_is_the_same_job(path):
    for job in read_manifests(path).jobs:
        assert type(job).from_manifest(job.to_manifest()) == job
