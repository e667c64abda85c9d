"""The real API server and `rlhf validate` agree on every manifest that the schema can judge."""

import copy
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from manifest_cases import BASE, MALFORMED, spoilt

from openrlhf_core.spec.reading.validate import judge_document
from openrlhf_core.spec.reading.yaml_reader import read_yaml

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
JOBS = ("openrlhf.io", "v1alpha1", "default", "rlhfjobs")


@pytest.fixture(scope="module")
def objects(kubeconfig: str) -> client.CustomObjectsApi:
    return client.CustomObjectsApi(config.new_client_from_config(kubeconfig))


def refusal(objects: client.CustomObjectsApi, manifest: dict[str, Any]) -> str:
    """Why the server refuses a manifest; empty when it accepts it."""
    try:
        objects.create_namespaced_custom_object(
            *JOBS, manifest, dry_run="All", field_validation="Strict"
        )
    except ApiException as error:
        assert error.status in (400, 422), error
        return str(error.body)
    return ""


def test_the_server_accepts_the_base(objects):
    assert refusal(objects, BASE) == ""


def test_the_server_refuses_every_malformed_manifest(objects):
    judged = [case for case in MALFORMED if "server" not in case]
    accepted = [case for case in judged if not refusal(objects, spoilt(case))]
    assert accepted == []
    assert len(judged) > 150


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_server_accepts_every_example(objects, path):
    for document in read_yaml(path.read_bytes()).documents:
        if document.data["kind"] == "RLHFJob":
            assert judge_document(document.data)[1] == []
            assert refusal(objects, document.data) == ""


def test_defaults_of_the_server_are_those_of_the_models(objects):
    manifest = copy.deepcopy(BASE)
    manifest["metadata"]["name"] = "defaults"
    made = objects.create_namespaced_custom_object(*JOBS, manifest, dry_run="All")
    ours, _ = judge_document(manifest)
    theirs, problems = judge_document(made)
    assert problems == []
    assert ours is not None and theirs is not None
    assert theirs.spec == ours.spec


def begun(objects: client.CustomObjectsApi, name: str) -> None:
    manifest = copy.deepcopy(BASE)
    manifest["metadata"]["name"] = name
    objects.create_namespaced_custom_object(*JOBS, manifest)
    status = {"status": {"attempt": {"number": 1}}}
    objects.patch_namespaced_custom_object_status(*JOBS, name, status)


@pytest.mark.parametrize(
    ("spec", "is_allowed"),
    [
        ({"suspend": True}, True),
        ({"lifecycle": {"activeDeadlineSeconds": 60, "ttlSecondsAfterFinished": 5}}, True),
        ({"lifecycle": {"startupTimeoutSeconds": 60, "progressDeadlineSeconds": 5}}, True),
        ({"lifecycle": {"cleanup": {"onSuccess": "DeleteWorkers"}}}, True),
        ({"lifecycle": {"backoffLimit": 9}}, False),
        ({"training": {"maxSteps": 21}}, False),
        ({"storage": {"cache": {"size": "1Gi"}}}, False),
        ({"cluster": {"image": "other:1"}}, False),
        ({"scheduling": {"queueName": "other"}}, False),
        ({"runtimeRef": None}, False),
        ({"runtimeRef": {"name": "other"}}, False),
    ],
)
def test_a_begun_job_changes_only_what_it_may(objects, request, spec, is_allowed):
    name = f"begun-{abs(hash(request.node.nodeid)) % 10**8}"
    begun(objects, name)
    try:
        objects.patch_namespaced_custom_object(*JOBS, name, {"spec": spec})
        was_allowed = True
    except ApiException as error:
        assert "once an attempt has begun" in str(error.body)
        was_allowed = False
    assert was_allowed is is_allowed


def test_a_job_that_has_not_begun_may_be_mended(objects):
    manifest = copy.deepcopy(BASE)
    manifest["metadata"]["name"] = "fixed"
    objects.create_namespaced_custom_object(*JOBS, manifest)
    patch = {"spec": {"training": {"maxSteps": 30}}}
    made = objects.patch_namespaced_custom_object(*JOBS, "fixed", patch)
    assert made["spec"]["training"]["maxSteps"] == 30
