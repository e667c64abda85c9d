"""What watches and lists have shown, by job: jobs, RayClusters and pods as raw objects.

A dict fed by events, not a kopf index: filling it is linear in the number of objects. It may lag
behind; a pass reads anew before it acts or calls something lost.
"""

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from rlhf_operator.names import LABEL_JOB

Object = dict[str, Any]
Children = Literal["rayclusters", "pods"]
CHILDREN: tuple[Children, ...] = ("rayclusters", "pods")


class JobKey(NamedTuple):
    """Which job."""

    namespace: str
    name: str


class Cache:
    """The newest known version of every object that matters."""

    def __init__(self) -> None:
        self._jobs: dict[JobKey, Object] = {}
        self._children: dict[Children, dict[JobKey, dict[str, Object]]] = {
            kind: {} for kind in CHILDREN
        }

    def job(self, key: JobKey) -> Object | None:
        return self._jobs.get(key)

    def job_keys(self) -> list[JobKey]:
        return list(self._jobs)

    def children(self, kind: Children, key: JobKey) -> list[Object]:
        """The children of a job, of all its attempts."""
        return list(self._children[kind].get(key, {}).values())

    def put_job(self, raw: Object) -> JobKey:
        """Keeps the object unless a newer version is known."""
        key = key_of(raw)
        if not is_older(raw, self._jobs.get(key)):
            self._jobs[key] = slim(raw)
        return key

    def drop_job(self, raw: Object) -> JobKey:
        key = key_of(raw)
        self._jobs.pop(key, None)
        return key

    def put_child(self, kind: Children, raw: Object) -> JobKey | None:
        """Keeps a labelled child unless a newer version is known; returns its job."""
        key = owner_key(raw)
        if key is not None:
            known = self._children[kind].setdefault(key, {})
            name = raw["metadata"]["name"]
            if not is_older(raw, known.get(name)):
                known[name] = slim(raw)
        return key

    def drop_child(self, kind: Children, raw: Object) -> JobKey | None:
        """Forgets a child, unless another of its name has come since."""
        key = owner_key(raw)
        if key is not None:
            known = self._children[kind].get(key, {})
            name = raw["metadata"]["name"]
            if known.get(name, {}).get("metadata", {}).get("uid") == raw["metadata"].get("uid"):
                del known[name]
            if not known:
                self._children[kind].pop(key, None)
        return key

    def replace_children(self, kind: Children, raws: Iterable[Object]) -> None:
        """Makes the cache what a list says: heals whatever a watch has missed."""
        self._children[kind] = {}
        for raw in raws:
            self.put_child(kind, raw)

    def replace_children_of(self, kind: Children, key: JobKey, raws: Iterable[Object]) -> None:
        """The same for one job."""
        self._children[kind].pop(key, None)
        for raw in raws:
            self.put_child(kind, raw)


def key_of(raw: Object) -> JobKey:
    """The key of a job object."""
    return JobKey(raw["metadata"]["namespace"], raw["metadata"]["name"])


def owner_key(raw: Object) -> JobKey | None:
    """The key of a child's job, from its label."""
    job = raw["metadata"].get("labels", {}).get(LABEL_JOB)
    return JobKey(raw["metadata"]["namespace"], job) if job else None


def slim(raw: Object) -> Object:
    """The object without managedFields, which are most of its bytes."""
    metadata = {k: v for k, v in raw["metadata"].items() if k != "managedFields"}
    return {**raw, "metadata": metadata}


def is_older(raw: Object, known: Object | None) -> bool:
    """Whether `known` is a later version of the same object; versions are compared as numbers."""
    if known is None or known["metadata"].get("uid") != raw["metadata"].get("uid"):
        return False
    mine, theirs = version_of(raw), version_of(known)
    return mine.isdigit() and theirs.isdigit() and int(mine) < int(theirs)


def version_of(raw: Object) -> str:
    """The object's resourceVersion."""
    return str(raw["metadata"].get("resourceVersion", ""))
