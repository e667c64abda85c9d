"""Writes what the Helm chart takes from elsewhere: `python -m rlhf_operator.codegen.helm`.

`templates/crds/` from `crds/`, `templates/rbac/_rules.tpl` from the operator's permissions, and
`values.schema.json` from `chart_values`. Everything else in the chart is written by hand.
"""

import json
import sys
from pathlib import Path
from typing import Any

from rlhf_operator.clients.permissions import PERMISSIONS
from rlhf_operator.codegen.chart_values import ChartValues
from rlhf_operator.codegen.rbac import rules_template

ROOT = Path(__file__).parents[3]
CHART = ROOT / "helm" / "rlhf-operator"

_KEEP = """\
  annotations:
    {{- if .Values.crds.keep }}
    helm.sh/resource-policy: keep
    {{- end }}
"""


def crd_template(crd: str) -> str:
    """The CRD as a template: behind `crds.install`, kept by `crds.keep`, its own braces escaped.

    Raises ValueError for a CRD whose text has no `metadata:` line, or annotations of its own.
    """
    escaped = crd.replace("{{", '{{ "{{" }}')
    head, metadata, rest = escaped.partition("metadata:\n")
    if not metadata or rest.startswith("  annotations:"):
        raise ValueError("a CRD in crds/ must begin with `metadata:` and hold no annotations")
    body = head + metadata + _KEEP + rest
    return "{{- if .Values.crds.install }}\n" + body.rstrip("\n") + "\n{{- end }}\n"


def values_schema() -> dict[str, Any]:
    """JSON schema (draft 7, which every Helm 3 and 4 reads) of the chart's values."""
    schema = ChartValues.model_json_schema(by_alias=True, ref_template="#/definitions/{model}")
    definitions = schema.pop("$defs")
    schema.pop("required", None)  # a parent chart passes only what it changes
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        **_without_titles(schema),
        "definitions": _without_titles(definitions),
    }


def _without_titles(node: Any) -> Any:
    """The schema without pydantic's generated titles."""
    if isinstance(node, dict):
        kept = {k: v for k, v in node.items() if not (k == "title" and isinstance(v, str))}
        return {key: _without_titles(value) for key, value in kept.items()}
    return [_without_titles(item) for item in node] if isinstance(node, list) else node


def generated_files(crds: Path) -> dict[str, str]:
    """Text of every generated file of the chart, by path below the chart."""
    files = {
        f"templates/crds/{path.name}": crd_template(path.read_text())
        for path in sorted(crds.glob("*.yaml"))
    }
    files["templates/rbac/_rules.tpl"] = rules_template(PERMISSIONS)
    files["values.schema.json"] = json.dumps(values_schema(), indent=2) + "\n"
    return files


def main() -> int:
    """Writes the files and removes templates of CRDs that are no more."""
    files = generated_files(ROOT / "crds")
    for stale in (CHART / "templates" / "crds").glob("*.yaml"):
        if f"templates/crds/{stale.name}" not in files:
            stale.unlink()
    for name, text in files.items():
        path = CHART / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
