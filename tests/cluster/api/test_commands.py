"""The cluster commands against a real API server."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from rich.console import Console
from typer.testing import CliRunner

from openrlhf_core.spec.exit_codes import ConfigurationError
from rlhf_operator.commands import lifecycle
from rlhf_operator.commands.cluster import Cluster, ConflictError, NotFoundError, open_cluster
from rlhf_operator.commands.consent import asked, given
from rlhf_operator.commands.doctor import examine, print_findings
from rlhf_operator.commands.job_view import JobView
from rlhf_operator.commands.listing import print_list
from rlhf_operator.commands.pods import pods_of
from rlhf_operator.commands.register import register
from rlhf_operator.commands.status import print_status, watch_status
from rlhf_operator.commands.submit import submit_file

pytestmark = pytest.mark.cluster

JOB = """\
apiVersion: openrlhf.io/v1alpha1
kind: RLHFJob
metadata: {name: first}
spec:
  training:
    recipe: RL
    model: {policy: {source: "builtin://tiny"}}
    reward: {functions: [{source: "builtin://digits"}]}
    data: {train: [{source: "builtin://digits"}]}
    rl: {algorithm: GRPO}
    maxSteps: 80
"""


def console() -> tuple[Console, io.StringIO]:
    buffer = io.StringIO()
    return Console(file=buffer, width=150), buffer


def write_job(folder: Path, text: str = JOB) -> Path:
    file = folder / "job.yaml"
    file.write_text(text)
    return file


def submit(cluster: Cluster, file: Path, *, dry_run: bool = False) -> str:
    screen, buffer = console()
    submit_file(cluster, screen, file, given, dry_run=dry_run)
    return buffer.getvalue()


def set_status(cluster: Cluster, name: str, status: dict[str, Any]) -> None:
    path = cluster.jobs_path(name) + "/status"
    cluster.send("PATCH", path, f"rlhfjob {name}", {"status": status})


def finished(condition: str, reason: str) -> dict[str, Any]:
    entry = {
        "type": condition,
        "status": "True",
        "reason": reason,
        "message": "said so",
        "lastTransitionTime": "2026-01-01T12:00:00Z",
    }
    return {"phase": "Succeeded" if condition == "Complete" else "Failed", "conditions": [entry]}


def test_submit_creates_the_job_and_says_how_to_follow_it(cluster: Cluster, tmp_path: Path) -> None:
    said = submit(cluster, write_job(tmp_path))
    assert "rlhfjob/first applied" in said
    assert "rlhf status -w first" in said
    assert cluster.job("first")["spec"]["training"]["maxSteps"] == 80


def test_submitting_twice_changes_nothing(cluster: Cluster, tmp_path: Path) -> None:
    submit(cluster, write_job(tmp_path))
    generation = cluster.job("first")["metadata"]["generation"]
    submit(cluster, write_job(tmp_path))
    assert cluster.job("first")["metadata"]["generation"] == generation


def test_a_dry_run_creates_nothing(cluster: Cluster, tmp_path: Path) -> None:
    assert "dry run" in submit(cluster, write_job(tmp_path), dry_run=True)
    with pytest.raises(NotFoundError):
        cluster.job("first")


def test_a_manifest_that_is_wrong_never_reaches_the_cluster(
    cluster: Cluster, tmp_path: Path
) -> None:
    wrong = JOB.replace("maxSteps: 80", "maxStep: 80")
    with pytest.raises(ConfigurationError, match=r"job.yaml:\d+: spec.training.maxStep"):
        submit(cluster, write_job(tmp_path, wrong))
    assert cluster.jobs() == []


def test_local_reward_code_goes_along_and_belongs_to_the_job(
    cluster: Cluster, tmp_path: Path
) -> None:
    (tmp_path / "reward.py").write_text("def reward_func(queries, prompts, labels): ...\n")
    file = write_job(
        tmp_path,
        JOB.replace('{source: "builtin://digits"}], ', "").replace(
            'functions: [{source: "builtin://digits"}]', "functions: [{source: reward.py}]"
        ),
    )
    submit(cluster, file)
    job = cluster.job("first")
    source = job["spec"]["training"]["reward"]["functions"][0]["source"]
    name, _, key = source.removeprefix("configmap://").partition("/")
    carrier = cluster.get(cluster.core_path("configmaps", name), name)
    assert "reward_func" in carrier["data"][key]
    assert carrier["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]
    submit(cluster, file)


def test_without_a_terminal_nothing_is_carried_unasked(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "reward.py").write_text("x = 1\n")
    file = write_job(
        tmp_path,
        JOB.replace(
            'functions: [{source: "builtin://digits"}]', "functions: [{source: reward.py}]"
        ),
    )
    with pytest.raises(ConfigurationError, match="pass --yes"):
        submit_file(cluster, console()[0], file, asked, dry_run=False)
    with pytest.raises(ConfigurationError, match="a pod has no such file"):
        submit_file(cluster, console()[0], file, lambda _: False, dry_run=False)
    assert cluster.jobs() == []


def test_other_objects_of_the_file_are_applied_too(cluster: Cluster, tmp_path: Path) -> None:
    extra = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: code}\ndata: {a: b}\n---\n"
    assert "configmap/code applied" in submit(cluster, write_job(tmp_path, extra + JOB))


def test_another_namespace_in_the_file_is_an_error(cluster: Cluster, tmp_path: Path) -> None:
    file = write_job(tmp_path, JOB.replace("{name: first}", "{name: first, namespace: other}"))
    with pytest.raises(ConfigurationError, match="pass --namespace other"):
        submit(cluster, file)


def test_list_and_status_show_the_job(cluster: Cluster, tmp_path: Path) -> None:
    submit(cluster, write_job(tmp_path))
    screen, buffer = console()
    print_list(cluster, screen, everywhere=False)
    print_list(cluster, screen, everywhere=True)
    print_status(cluster, screen, "first")
    text = buffer.getvalue()
    assert "first" in text
    assert cluster.namespace in text
    assert "GRPO" in text


def test_an_empty_namespace_says_so(cluster: Cluster) -> None:
    screen, buffer = console()
    print_list(cluster, screen, everywhere=False)
    assert f"no jobs in namespace {cluster.namespace}" in buffer.getvalue()


def test_watching_ends_when_the_job_has_ended(cluster: Cluster, tmp_path: Path) -> None:
    submit(cluster, write_job(tmp_path))
    set_status(cluster, "first", finished("Failed", "DriverFailed"))
    screen, buffer = console()
    job = watch_status(cluster, screen, "first")
    assert job.outcome == "Failed"
    assert "Failed | Failed: DriverFailed: said so" in buffer.getvalue()


def test_suspend_and_resume_may_be_said_twice(cluster: Cluster, tmp_path: Path) -> None:
    submit(cluster, write_job(tmp_path))
    assert "commits a checkpoint" in lifecycle.suspend(cluster, "first")
    assert "already" in lifecycle.suspend(cluster, "first")
    assert cluster.job("first")["spec"]["suspend"] is True
    assert "from the beginning" in lifecycle.resume(cluster, "first")
    assert "not suspended" in lifecycle.resume(cluster, "first")
    assert cluster.job("first")["spec"]["suspend"] is False


def test_a_job_that_has_ended_cannot_be_suspended(cluster: Cluster, tmp_path: Path) -> None:
    submit(cluster, write_job(tmp_path))
    set_status(cluster, "first", finished("Complete", "Done"))
    with pytest.raises(ConfigurationError, match="has ended"):
        lifecycle.suspend(cluster, "first")


def test_cancel_deletes_the_job_and_waits_for_it(cluster: Cluster, tmp_path: Path) -> None:
    submit(cluster, write_job(tmp_path))
    assert "first is deleted" in lifecycle.cancel(cluster, "first")
    lifecycle.wait_until_gone(cluster, "first", 30)
    with pytest.raises(NotFoundError, match="not in namespace"):
        lifecycle.cancel(cluster, "first")


def test_a_finalizer_that_nobody_removes_is_explained(cluster: Cluster, tmp_path: Path) -> None:
    submit(cluster, write_job(tmp_path))
    cluster.patch_job("first", {"metadata": {"finalizers": ["openrlhf.io/cleanup"]}})
    lifecycle.cancel(cluster, "first")
    with pytest.raises(ConfigurationError, match="is the operator running"):
        lifecycle.wait_until_gone(cluster, "first", 0.1, sleep=lambda _: None)


def test_a_change_that_the_schema_refuses_is_told_in_words(
    cluster: Cluster, tmp_path: Path
) -> None:
    submit(cluster, write_job(tmp_path))
    with pytest.raises(ConfigurationError, match="rlhfjob first: the API server answered 422"):
        cluster.patch_job("first", {"spec": {"training": {"maxSteps": -1}}})
    with pytest.raises(ConflictError):
        cluster.send("POST", cluster.jobs_path(), "rlhfjob first", cluster_copy(cluster))


def cluster_copy(cluster: Cluster) -> dict[str, Any]:
    job = cluster.job("first")
    return {**job, "metadata": {"name": "first"}}


def test_groups_without_pods_are_named(cluster: Cluster, tmp_path: Path) -> None:
    submit(cluster, write_job(tmp_path))
    with pytest.raises(ConfigurationError, match="the job has no pods now"):
        pods_of(cluster, "first", "all")


def test_the_doctor_finds_what_this_cluster_lacks(cluster: Cluster) -> None:
    findings = {finding.subject: finding for finding in examine(cluster)}
    assert findings["CRDs"].level == "ok"
    assert findings["your rights"].level == "ok"
    if findings["KubeRay"].level == "fail":
        assert "install KubeRay" in findings["KubeRay"].message
    screen, buffer = console()
    stops = any(finding.level == "fail" for finding in findings.values())
    assert print_findings(screen, findings.values()) == (not stops)
    assert "Kubernetes: v1." in buffer.getvalue()


def test_someone_without_rights_is_told_which_role_to_ask_for(cluster: Cluster) -> None:
    """Kubernetes answers an impersonated user as it would answer that user."""
    cluster.api.set_default_header("Impersonate-User", "nobody")
    with pytest.raises(ConfigurationError, match=r"does not allow it.*ask for the role `edit`"):
        cluster.jobs()
    findings = {finding.subject: finding for finding in examine(cluster)}
    assert findings["your rights"].level == "fail"
    assert "you may not create rlhfjobs" in findings["your rights"].message
    assert findings["nodes"].level == "unknown"


def test_a_server_that_is_not_there_is_named(
    kubeconfig: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = yaml.safe_load(Path(kubeconfig).read_text())
    broken["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps(broken))
    monkeypatch.setenv("KUBECONFIG", str(file))
    with pytest.raises(ConfigurationError, match=r"https://127.0.0.1:1 does not answer"):
        open_cluster(None).jobs()


def test_the_command_line_ends_with_the_codes_it_promises(cluster: Cluster, tmp_path: Path) -> None:
    app = typer.Typer()
    register(app)
    runner = CliRunner()
    space = ["--namespace", cluster.namespace]
    assert runner.invoke(app, ["submit", str(write_job(tmp_path)), *space]).exit_code == 0
    shown = runner.invoke(app, ["get", "first", "-o", "json", *space])
    assert JobView.of(json.loads(shown.output)).name == "first"
    for command in ("list", "status first", "metrics first", "checkpoints first", "suspend first"):
        result = runner.invoke(app, [*command.split(), *space])
        assert result.exit_code == 0, result.output
    set_status(cluster, "first", finished("Failed", "DriverFailed"))
    assert runner.invoke(app, ["status", "-w", "first", *space]).exit_code == 1
    set_status(cluster, "first", finished("Complete", "Done"))
    assert runner.invoke(app, ["cancel", "-y", "first", "--wait", *space]).exit_code == 0
