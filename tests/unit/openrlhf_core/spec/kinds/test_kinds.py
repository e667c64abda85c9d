"""The kinds: what a manifest becomes, and back."""

from typing import Any

import pytest
from pydantic import ValidationError

from openrlhf_core.spec.kinds.job import RLHFJob
from openrlhf_core.spec.kinds.runtime import ClusterRLHFRuntime, RLHFRuntime
from openrlhf_core.spec.kinds.status import RLHFJobStatus


def make_job(**spec):
    training = {
        "recipe": "RL",
        "model": {"policy": {"source": "builtin://tiny"}},
        "reward": {"functions": [{"source": "builtin://exact-match"}]},
        "data": {"train": [{"source": "builtin://sums"}]},
        "rl": {"algorithm": "GRPO"},
        "maxSteps": 3,
    }
    return {
        "apiVersion": "openrlhf.io/v1alpha1",
        "kind": "RLHFJob",
        "metadata": {"name": "demo"},
        "spec": {"training": training, **spec},
    }


def make_runtime(kind="RLHFRuntime"):
    return {
        "apiVersion": "openrlhf.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": "cpu"},
        "spec": {"image": "trainer:1", "rayVersion": "2.60.0", "device": {"kind": "CPU"}},
    }


def test_a_short_job_gets_its_defaults():
    job = RLHFJob.from_manifest(make_job())
    assert job.spec.training.rl is not None
    assert job.spec.training.rl.group_size == 8
    assert job.spec.lifecycle.backoff_limit == 3
    assert job.spec.cluster.groups == ()


def test_a_job_written_out_reads_as_the_same_job():
    fragment = {"requests": {"cpu": 2, "memory": "4Gi"}, "deep": [{"x": [1, 2.5, None]}]}
    job = RLHFJob.from_manifest(
        make_job(cluster={"groups": [{"name": "head", "resources": fragment}]})
    )
    assert RLHFJob.from_manifest(job.to_manifest()) == job


def test_pod_fragments_are_kept_as_written():
    affinity = {"nodeAffinity": {"snake_case": {"CamelCase": ["a", 1]}}}
    job = RLHFJob.from_manifest(
        make_job(cluster={"groups": [{"name": "all", "podOverrides": {"affinity": affinity}}]})
    )
    written = job.to_manifest()["spec"]["cluster"]["groups"][0]["podOverrides"]
    assert written["affinity"] == affinity


def test_null_is_an_absent_field():
    job = RLHFJob.from_manifest(make_job(storage=None, cluster={"image": None}))
    assert job.spec.storage.output is None
    assert job.spec.cluster.image is None


def test_snake_case_is_no_name_in_a_manifest():
    with pytest.raises(ValidationError, match="runtime_ref"):
        RLHFJob.from_manifest(make_job(runtime_ref={"name": "cpu"}))


def test_a_quoted_number_is_refused():
    with pytest.raises(ValidationError, match="backoffLimit"):
        RLHFJob.from_manifest(make_job(lifecycle={"backoffLimit": "3"}))


def test_what_the_server_adds_to_metadata_is_read():
    manifest = make_job()
    manifest["metadata"] |= {
        "uid": "123",
        "generation": 4,
        "creationTimestamp": "2026-11-22T10:00:00Z",
        "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
    }
    assert RLHFJob.from_manifest(manifest).metadata.generation == 4


@pytest.mark.parametrize("name", ["Demo", "1demo", "demo-", "a" * 41, "", "de.mo"])
def test_a_job_name_is_a_short_dns_label(name):
    manifest = make_job()
    manifest["metadata"]["name"] = name
    with pytest.raises(ValidationError):
        RLHFJob.from_manifest(manifest)


def test_an_unreadable_status_leaves_the_job_readable():
    manifest = make_job() | {"status": {"phase": 7, "fromTheFuture": True}}
    job = RLHFJob.from_manifest(manifest)
    assert job.metadata.name == "demo"
    assert "status" not in job.to_manifest()


def test_a_status_is_read_leniently_and_written_strictly():
    status = RLHFJobStatus.from_manifest(
        {"phase": "Running", "progress": {"step": 1, "totalSteps": 4, "percentage": 25, "x": 1}}
    )
    assert status.progress is not None and status.progress.step == 1
    unknown: dict[str, Any] = {"surprise": 1}
    with pytest.raises(ValidationError):
        RLHFJobStatus(phase="Running", **unknown)
    assert status.to_manifest()["progress"] == {"step": 1, "totalSteps": 4, "percentage": 25}


def test_both_runtimes_share_one_spec():
    one = RLHFRuntime.from_manifest(make_runtime())
    other = ClusterRLHFRuntime.from_manifest(make_runtime("ClusterRLHFRuntime"))
    assert one.spec == other.spec
    assert one.spec.allowed_overrides == ("Resources", "Env", "Scheduling", "Storage")


@pytest.mark.parametrize("cpus", [2, "500m", "0.5"])
def test_a_quantity_is_a_number_or_a_text(cpus):
    manifest = make_runtime()
    manifest["spec"]["device"]["cpus"] = cpus
    assert RLHFRuntime.from_manifest(manifest).spec.device.cpus == cpus
