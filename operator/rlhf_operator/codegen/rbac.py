"""Makes RBAC rules of what the operator's clients declare."""

from collections.abc import Iterable

from rlhf_operator.clients.permissions import Permission, Scope

_HEADER = """\
{{/* GENERATED from rlhf_operator/clients/permissions.py by rlhf_operator.codegen.helm. */}}
"""


def rules(permissions: Iterable[Permission], scope: Scope) -> list[dict[str, list[str]]]:
    """The rules of this scope as RBAC writes them, one for each permission, in their order."""
    return [
        {
            "apiGroups": [permission.group],
            "resources": list(permission.resources),
            "verbs": list(permission.verbs),
        }
        for permission in permissions
        if permission.scope == scope
    ]


def rules_template(permissions: tuple[Permission, ...]) -> str:
    """A named template for each scope."""
    return (
        _HEADER
        + _define("rlhf-operator.namespaceRules", permissions, "Namespace")
        + _define("rlhf-operator.clusterRules", permissions, "Cluster")
        + _define("rlhf-operator.allNamespacesRules", permissions, "AllNamespaces")
    )


def _define(name: str, permissions: tuple[Permission, ...], scope: Scope) -> str:
    lines = [f'{{{{- define "{name}" -}}}}']
    for permission in (p for p in permissions if p.scope == scope):
        lines += [
            f"# {permission.why}",
            f"- apiGroups: [{_quoted([permission.group])}]",
            f"  resources: [{_quoted(permission.resources)}]",
            f"  verbs: [{_quoted(permission.verbs)}]",
        ]
    return "\n".join([*lines, "{{- end -}}", ""])


def _quoted(words: Iterable[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)
