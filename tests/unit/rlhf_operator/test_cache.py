"""The cache: newest wins, children by job, lists heal."""

from typing import Any

from rlhf_operator.cache import Cache, JobKey

KEY = JobKey("team-a", "demo")


def raw(name: str = "demo", version: str = "1", uid: str = "u", **fields: Any) -> dict[str, Any]:
    metadata = {
        "name": name,
        "namespace": "team-a",
        "uid": uid,
        "resourceVersion": version,
        "labels": {"openrlhf.io/job": "demo"},
        "managedFields": ["much"],
    }
    return {"metadata": metadata, **fields}


def test_an_older_version_never_replaces_a_newer_one() -> None:
    cache = Cache()
    cache.put_job(raw(version="10", spec=2))
    cache.put_job(raw(version="9", spec=1))
    assert (cache.job(KEY) or {})["spec"] == 2
    cache.put_job(raw(version="3", uid="another", spec=3))
    assert (cache.job(KEY) or {})["spec"] == 3


def test_managed_fields_are_not_kept() -> None:
    cache = Cache()
    cache.put_job(raw())
    assert "managedFields" not in (cache.job(KEY) or {})["metadata"]


def test_children_are_found_by_their_job() -> None:
    cache = Cache()
    assert cache.put_child("pods", raw("p-1")) == KEY
    assert cache.put_child("pods", {"metadata": {"name": "x", "namespace": "team-a"}}) is None
    assert [pod["metadata"]["name"] for pod in cache.children("pods", KEY)] == ["p-1"]
    assert cache.children("rayclusters", KEY) == []


def test_the_end_of_an_older_object_does_not_drop_its_successor() -> None:
    cache = Cache()
    cache.put_child("pods", raw("p-1", uid="new"))
    cache.drop_child("pods", raw("p-1", uid="old"))
    assert len(cache.children("pods", KEY)) == 1
    cache.drop_child("pods", raw("p-1", uid="new"))
    assert cache.children("pods", KEY) == []


def test_a_list_heals_what_a_watch_missed() -> None:
    cache = Cache()
    cache.put_child("pods", raw("gone"))
    cache.replace_children("pods", [raw("there")])
    assert [pod["metadata"]["name"] for pod in cache.children("pods", KEY)] == ["there"]
    cache.replace_children_of("pods", KEY, [])
    assert cache.children("pods", KEY) == []


def test_a_deleted_job_is_gone() -> None:
    cache = Cache()
    cache.put_job(raw())
    assert cache.drop_job(raw()) == KEY
    assert cache.job(KEY) is None
    assert cache.job_keys() == []
