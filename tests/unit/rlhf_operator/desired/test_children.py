"""ConfigMap, output claim and network policy of a job."""

import json
from typing import Any

from openrlhf_core.spec.kinds.job import RLHFJob
from openrlhf_core.spec.kinds.storage import OutputStorageSpec
from openrlhf_core.spec.run_config import RunConfig
from rlhf_operator.desired.config_map import config_map, run_config, runtime_from
from rlhf_operator.desired.identity import JobIdentity
from rlhf_operator.desired.network_policy import network_policy
from rlhf_operator.desired.storage import output_claim
from rlhf_operator.ownership import is_owned_by

JOB = JobIdentity("demo", "team-a", "0f1e2d3c-0000-4000-8000-000000000000")


def snapshot(build: Any, **output: Any) -> dict[str, Any]:
    spec = RLHFJob.from_manifest(build.raw_job()).spec
    storage = OutputStorageSpec.from_manifest({"size": "1Gi"} | output)
    config = run_config(JOB, spec.training, storage, "CPU", 60)
    return config_map(JOB, config, build.runtime())


def test_the_driver_reads_its_run_config_from_the_config_map(build: Any) -> None:
    text = snapshot(build)["data"]["run.json"]
    config = RunConfig.model_validate_json(text, by_alias=True, by_name=False)
    assert (config.name, config.namespace) == ("demo", "team-a")
    assert config.output == "/var/rlhf/output/demo-0f1e2d3c"
    assert config.training == RLHFJob.from_manifest(build.raw_job()).spec.training


def test_a_sub_path_continues_another_jobs_directory(build: Any) -> None:
    text = snapshot(build, subPath="older/run")["data"]["run.json"]
    assert json.loads(text)["output"] == "/var/rlhf/output/older/run"


def test_the_runtime_comes_back_from_its_snapshot_unchanged(build: Any) -> None:
    assert runtime_from(snapshot(build)) == build.runtime()


def test_a_snapshot_that_cannot_be_read_is_none() -> None:
    assert runtime_from({"data": {"runtime.json": "{"}}) is None
    assert runtime_from({}) is None


def test_a_child_belongs_to_one_uid_only(build: Any) -> None:
    made = snapshot(build)
    assert is_owned_by(made, JOB.uid)
    assert not is_owned_by(made, "another")
    assert not is_owned_by({"metadata": {}}, JOB.uid)


def test_the_output_claim_has_no_owner_and_outlives_the_job() -> None:
    storage = OutputStorageSpec.from_manifest({"size": "5Gi", "storageClassName": "fast"})
    claim = output_claim("demo", JOB.uid, "team-a", storage)
    assert "ownerReferences" not in claim["metadata"]
    assert claim["spec"] == {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": "5Gi"}},
        "storageClassName": "fast",
    }


def test_the_pods_are_reached_by_themselves_and_the_operator_only() -> None:
    policy = network_policy(JOB, "rlhf-system", None)["spec"]
    itself, operator = policy["ingress"]
    assert policy["podSelector"] == {"matchLabels": {"openrlhf.io/job-uid": JOB.uid}}
    assert itself == {"from": [{"podSelector": policy["podSelector"]}]}
    assert [port["port"] for port in operator["ports"]] == [8265, 8090]
    assert operator["from"][0]["namespaceSelector"] == {
        "matchLabels": {"kubernetes.io/metadata.name": "rlhf-system"}
    }


def test_prometheus_reaches_the_metrics_ports_when_its_namespace_is_known() -> None:
    ingress = network_policy(JOB, "rlhf-system", "monitoring")["spec"]["ingress"]
    assert [port["port"] for port in ingress[2]["ports"]] == [8091, 8080]
