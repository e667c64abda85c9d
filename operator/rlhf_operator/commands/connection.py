"""Opens the cluster of the current kubeconfig, when a command first needs one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlhf_operator.commands.cluster import Cluster


def connect(namespace: str | None) -> Cluster:
    """The cluster of the current context. ConfigurationError where there is none.

    The Kubernetes package takes most of a second to import: here, so that `rlhf validate` and
    `--help` do not wait for it.
    """
    from rlhf_operator.commands.cluster import open_cluster  # noqa: PLC0415 (see above)

    return open_cluster(namespace)
