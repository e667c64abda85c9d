"""What the chart takes from elsewhere: CRDs as templates, rules of permissions, the schema."""

from typing import Any

import pytest
import yaml

from rlhf_operator.clients.permissions import Permission
from rlhf_operator.codegen.helm import crd_template, values_schema
from rlhf_operator.codegen.rbac import rules, rules_template

CRD = "apiVersion: v1\nkind: X\nmetadata:\n  name: x\nspec:\n  text: 'braces {{ here }}'\n"

TABLE = (
    Permission("", ("pods", "events"), ("get",), "Namespace", "look"),
    Permission("openrlhf.io", ("clusterrlhfruntimes",), ("get", "list"), "Cluster", "resolve"),
    Permission("apiextensions.k8s.io", ("definitions",), ("watch",), "AllNamespaces", "await"),
)


def test_a_crd_stands_behind_a_switch_and_is_kept_on_request() -> None:
    lines = crd_template(CRD).splitlines()
    assert lines[0] == "{{- if .Values.crds.install }}"
    assert lines[-1] == "{{- end }}"
    keep = lines.index("    helm.sh/resource-policy: keep")
    assert lines[keep - 1].strip() == "{{- if .Values.crds.keep }}"
    assert lines[keep - 2] == "  annotations:"


def test_braces_of_a_description_are_no_template() -> None:
    assert """'braces {{ "{{" }} here }}'""" in crd_template(CRD)


@pytest.mark.parametrize("crd", ["kind: X\n", CRD.replace("  name", "  annotations: {}\n  name")])
def test_a_crd_of_another_shape_is_refused(crd: str) -> None:
    with pytest.raises(ValueError, match="must begin with `metadata:`"):
        crd_template(crd)


def test_rules_are_those_of_their_scope() -> None:
    assert rules(TABLE, "Namespace") == [
        {"apiGroups": [""], "resources": ["pods", "events"], "verbs": ["get"]}
    ]
    assert rules(TABLE, "Cluster")[0]["apiGroups"] == ["openrlhf.io"]


def test_the_template_defines_both_scopes_and_says_why() -> None:
    text = rules_template(TABLE)
    parts = {}
    for part in text.split("{{- define ")[1:]:
        name, _, body = part.partition(" -}}\n")
        parts[name.strip('"')] = body.partition("{{- end -}}")[0]
    parsed = {name: yaml.safe_load(body) for name, body in parts.items()}
    assert parsed == {
        "rlhf-operator.namespaceRules": rules(TABLE, "Namespace"),
        "rlhf-operator.clusterRules": rules(TABLE, "Cluster"),
        "rlhf-operator.allNamespacesRules": rules(TABLE, "AllNamespaces"),
    }
    assert "# look" in text


def test_every_value_of_the_schema_is_described() -> None:
    schema = values_schema()
    objects = [schema, *schema["definitions"].values()]
    for item in objects:
        for name, field in item["properties"].items():
            described = field.get("description") or _target(schema, field).get("description")
            assert described, name


def _target(schema: dict[str, Any], field: dict[str, Any]) -> dict[str, Any]:
    found = schema["definitions"].get(field.get("$ref", "").rpartition("/")[2], {})
    assert isinstance(found, dict)
    return found


def test_unknown_values_are_forbidden_but_globals_are_open() -> None:
    schema = values_schema()
    assert schema["additionalProperties"] is False
    assert schema["properties"]["global"]["type"] == "object"
    assert schema["properties"]["global"].get("additionalProperties", True) is True
    assert "enabled" in schema["properties"]
    assert "required" not in schema, "a parent chart passes only what it changes"
