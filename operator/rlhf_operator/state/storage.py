"""Policy: the output claim must exist unless we make it; one that a single node mounts binds all
pods to that node."""

from collections.abc import Mapping
from typing import Any

from openrlhf_core.spec.kinds.storage import OutputStorageSpec

MANY_NODES = frozenset({"ReadWriteMany"})


def is_shared(output: OutputStorageSpec | None, claim: Mapping[str, Any] | None) -> bool:
    """Whether pods on many nodes may mount the output: what the claim says, else what is asked."""
    if claim is not None:
        modes = claim.get("spec", {}).get("accessModes", [])
        return any(mode in MANY_NODES for mode in modes)
    wanted = output.access_mode if output is not None else None
    return (wanted or "ReadWriteMany") in MANY_NODES
