"""The chart renders what it promises, for many values, without a cluster."""

import json
import subprocess
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from openrlhf_core.spec.kinds.job import RLHFJob
from openrlhf_core.spec.kinds.runtime import ClusterRLHFRuntime
from rlhf_operator.clients.permissions import PERMISSIONS, Scope
from rlhf_operator.codegen.chart_values import ChartValues
from rlhf_operator.codegen.helm import CHART, ROOT, generated_files
from rlhf_operator.codegen.rbac import rules

Manifest = dict[str, Any]


def render(helm: str, values: dict[str, Any] | None = None, chart: Path = CHART) -> list[Manifest]:
    done = template(helm, values, chart)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def template(
    helm: str, values: dict[str, Any] | None = None, chart: Path = CHART
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [helm, "template", "demo", str(chart), "--namespace", "rlhf-system", "--values", "-"],
        input=json.dumps(values or {}),
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )


def of_kind(objects: list[Manifest], kind: str) -> list[Manifest]:
    return [item for item in objects if item["kind"] == kind]


def container(objects: list[Manifest]) -> Manifest:
    (deployment,) = of_kind(objects, "Deployment")
    (only,) = deployment["spec"]["template"]["spec"]["containers"]
    assert isinstance(only, dict)
    return only


def test_the_chart_lints_strictly(helm: str) -> None:
    done = subprocess.run(
        [helm, "lint", "--strict", str(CHART)],
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_generated_files_of_the_chart_are_up_to_date() -> None:
    expected = generated_files(ROOT / "crds")
    for name, text in expected.items():
        assert (CHART / name).read_text() == text, f"{name}: run `make gen`"
    present = {f"templates/crds/{path.name}" for path in (CHART / "templates/crds").iterdir()}
    assert present == {name for name in expected if name.startswith("templates/crds/")}


def test_values_yaml_holds_every_field_of_the_schema_at_its_default() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    model = ChartValues.model_validate_json(json.dumps(values), by_alias=True, by_name=False)
    assert json.loads(model.model_dump_json(by_alias=True)) == values
    for name in ("image", "crds", "watch", "rbac", "operator", "metrics", "health"):
        field = ChartValues.model_fields[name].annotation
        assert field is not None
        assert getattr(model, name) == field(), f"default of {name}"


def test_the_runtimes_of_the_chart_are_runtimes(helm: str) -> None:
    runtimes = of_kind(render(helm), "ClusterRLHFRuntime")
    assert {runtime["metadata"]["name"] for runtime in runtimes} == {"cpu", "cuda"}
    for runtime in runtimes:
        runtime["metadata"].pop("creationTimestamp", None)
        ClusterRLHFRuntime.model_validate_json(json.dumps(runtime), by_alias=True, by_name=False)


def test_the_ray_version_of_the_runtimes_is_the_one_we_pin(helm: str) -> None:
    pin = next(
        line
        for line in (ROOT / "pyproject.toml").read_text().splitlines()
        if "ray[default]" in line
    )
    for runtime in of_kind(render(helm), "ClusterRLHFRuntime"):
        assert f'=={runtime["spec"]["rayVersion"]}"' in pin


def test_the_operator_pod_meets_the_restricted_standard(helm: str) -> None:
    objects = render(helm)
    (deployment,) = of_kind(objects, "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    security = container(objects)["securityContext"]
    assert security["allowPrivilegeEscalation"] is False
    assert security["readOnlyRootFilesystem"] is True
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert not any("hostPath" in volume for volume in pod["volumes"])


def test_there_is_never_a_second_operator(helm: str) -> None:
    (deployment,) = of_kind(render(helm), "Deployment")
    assert deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}


def test_cluster_mode_grants_all_permissions_in_one_cluster_role(helm: str) -> None:
    objects = render(helm)
    role = next(
        item
        for item in of_kind(objects, "ClusterRole")
        if item["metadata"]["name"] == "rlhf-system-demo-rlhf-operator"
    )
    scopes: tuple[Scope, ...] = ("Cluster", "AllNamespaces", "Namespace")
    assert role["rules"] == [rule for scope in scopes for rule in rules(PERMISSIONS, scope)]
    assert of_kind(objects, "Role") == []
    assert "--all-namespaces" in container(objects)["args"]


def test_namespaced_mode_grants_a_role_in_each_namespace(helm: str) -> None:
    objects = render(helm, {"watch": {"namespaces": ["team-a", "team-b"]}})
    roles = of_kind(objects, "Role")
    assert [role["metadata"]["namespace"] for role in roles] == ["team-a", "team-b"]
    assert all(role["rules"] == rules(PERMISSIONS, "Namespace") for role in roles)
    (cluster_role,) = (
        role
        for role in of_kind(objects, "ClusterRole")
        if "aggregate" not in json.dumps(role["metadata"]["labels"])
    )
    assert cluster_role["rules"] == rules(PERMISSIONS, "Cluster")
    arguments = container(objects)["args"]
    assert [a for a in arguments if "namespace" in a] == [
        "--namespace=team-a",
        "--namespace=team-b",
    ]


def test_a_tenant_without_cluster_rights_can_install(helm: str) -> None:
    values = {
        "watch": {"namespaces": ["team-a"]},
        "rbac": {"clusterRuntimes": False, "aggregate": False},
        "crds": {"install": False},
        "runtimes": {
            "default": "",
            "items": {"cpu": {"enabled": False}, "cuda": {"enabled": False}},
        },
    }
    cluster_scoped = {
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "ClusterRLHFRuntime",
    }
    objects = render(helm, values)
    assert {item["kind"] for item in objects}.isdisjoint(cluster_scoped)
    assert not any("default-runtime" in argument for argument in container(objects)["args"])


def test_crds_are_kept_and_equal_those_of_the_repository(helm: str) -> None:
    crds = of_kind(render(helm), "CustomResourceDefinition")
    for crd in crds:
        assert crd["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    committed = [
        yaml.safe_load(path.read_text()) for path in sorted((ROOT / "crds").glob("*.yaml"))
    ]
    by_name = {crd["metadata"]["name"]: crd for crd in crds}
    assert by_name == {crd["metadata"]["name"]: crd for crd in committed}
    assert of_kind(render(helm, {"crds": {"install": False}}), "CustomResourceDefinition") == []


def test_a_digest_wins_over_a_tag_and_a_registry_is_put_before(helm: str) -> None:
    digest = "sha256:" + "a" * 64
    image = {"registry": "registry.example", "tag": "1.2.3"}
    assert container(render(helm, {"image": image}))["image"] == (
        "registry.example/rlhf-operator:1.2.3"
    )
    image["digest"] = digest
    assert container(render(helm, {"image": image}))["image"] == (
        f"registry.example/rlhf-operator@{digest}"
    )


def test_a_default_runtime_that_is_not_enabled_is_refused(helm: str) -> None:
    missing = template(helm, {"runtimes": {"default": "tpu"}})
    assert missing.returncode != 0
    assert 'runtimes.default is "tpu"' in missing.stderr
    off = template(helm, {"runtimes": {"items": {"cpu": {"enabled": False}}}})
    assert off.returncode != 0
    assert "runtimes.items.cpu.enabled is false" in off.stderr


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"imagee": {}}, "imagee"),
        ({"image": {"pullPolicy": "Sometimes"}}, "image"),
        ({"operator": {"concurrency": 0}}, "concurrency"),
        ({"operator": {"logFormat": "xml"}}, "logFormat"),
        ({"watch": {"namespaces": ["Team A"]}}, "namespaces"),
        ({"runtimes": {"items": {"mine": {"enabled": True}}}}, "mine"),
        ({"image": {"digest": "abc"}}, "digest"),
    ],
)
def test_values_that_the_schema_does_not_know_are_refused(
    helm: str, values: dict[str, Any], path: str
) -> None:
    done = template(helm, values)
    assert done.returncode != 0
    assert path in done.stderr


def test_every_combination_of_switches_renders(helm: str) -> None:
    switches = product(["", "cpu"], [[], ["a"]], [True, False], [True, False])
    for default, namespaces, flag, aggregate in switches:
        values = {
            "runtimes": {"default": default},
            "watch": {"namespaces": namespaces},
            "networkPolicy": {"enabled": flag},
            "metrics": {"service": {"create": flag}},
            "serviceAccount": {"create": flag},
            "crds": {"keep": flag},
            "rbac": {"create": flag, "aggregate": aggregate},
            "podSecurityContext": {"seccompProfile": None},
        }
        objects = render(helm, values)
        names = [
            (o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in objects
        ]
        assert len(names) == len(set(names)), "two objects of one name"
        assert bool(of_kind(objects, "NetworkPolicy")) == flag


def test_it_renders_as_a_sub_chart_with_globals(helm: str, tmp_path: Path) -> None:
    parent = tmp_path / "platform"
    (parent / "charts").mkdir(parents=True)
    (parent / "charts" / "rlhf-operator").symlink_to(CHART)
    (parent / "Chart.yaml").write_text(
        "apiVersion: v2\nname: platform\nversion: 1.0.0\n"
        "dependencies: [{name: rlhf-operator, version: '*', condition: rlhf-operator.enabled}]\n"
    )
    values = {
        "global": {"imageRegistry": "mirror.example", "imagePullSecrets": ["pull"], "other": 1},
        "rlhf-operator": {"image": {"tag": "9"}},
    }
    objects = render(helm, values, parent)
    (deployment,) = of_kind(objects, "Deployment")
    assert container(objects)["image"] == "mirror.example/rlhf-operator:9"
    assert deployment["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "pull"}]
    assert render(helm, {"rlhf-operator": {"enabled": False}}, parent) == []


def test_the_job_in_the_notes_is_a_job(helm: str) -> None:
    notes = (CHART / "templates" / "NOTES.txt").read_text()
    job = notes.partition("<<'YAML'\n")[2].partition("\nYAML\n")[0]
    lines = [line for line in job.splitlines() if "{{" not in line and "CHOOSE-ONE" not in line]
    parsed = yaml.safe_load("\n".join(lines))
    RLHFJob.model_validate_json(json.dumps(parsed), by_alias=True, by_name=False)
