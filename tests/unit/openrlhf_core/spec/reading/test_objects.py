"""Lists of objects, as `kubectl get -o yaml` writes them."""

import json
from typing import Any

import yaml
from manifest_cases import BASE, FOLDER

from openrlhf_core.spec.reading.objects import read_objects
from openrlhf_core.spec.reading.validate import judge_content


def problems_of(text: str) -> list[str]:
    return [str(problem) for problem in judge_content(text.encode(), "f.yaml").problems]


def list_of(*items: Any, kind: str = "List") -> str:
    listed = {"apiVersion": "v1", "kind": kind, "items": list(items), "metadata": {}}
    return yaml.safe_dump(listed, sort_keys=False)


def named(name: str) -> dict[str, Any]:
    return {**BASE, "metadata": {"name": name}}


def test_the_jobs_of_a_list_are_read():
    found = judge_content(list_of(named("a"), named("b")).encode(), "f.yaml")
    assert found.problems == ()
    assert [job.metadata.name for job in found.jobs] == ["a", "b"]


def test_a_list_of_one_kind_and_lists_in_lists_are_read_too():
    inner = yaml.safe_load(list_of(named("b"), kind="RLHFJobList"))
    found = judge_content(list_of(named("a"), inner).encode(), "f.yaml")
    assert [job.metadata.name for job in found.jobs] == ["a", "b"]


def test_a_problem_of_an_item_has_its_own_path_and_line():
    indented = (FOLDER / "base.yaml").read_text().replace("keep: 3", "keep: 0").splitlines()
    text = "kind: List\napiVersion: v1\nitems:\n- " + "\n  ".join(indented)
    (problem,) = judge_content(text.encode(), "f.yaml").problems
    assert problem.field == "spec.training.checkpoint.keep"
    assert "keep: 0" in text.splitlines()[problem.line - 1]


def test_other_kinds_in_a_list_are_passed_over():
    other = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1"}}
    assert problems_of(list_of(other, named("a"))) == []
    assert "holds no RLHFJob" in problems_of(list_of(other))[0]
    assert "holds no RLHFJob" in problems_of(list_of())[0]


def test_an_item_that_is_no_object_is_a_problem():
    assert problems_of(list_of(named("a"), 5)) == [
        f"f.yaml:{list_of(named('a'), 5).splitlines().index('- 5') + 1}: is 5, where an object "
        "belongs; write apiVersion, kind, metadata and spec"
    ]


def test_what_only_looks_like_a_list_stays_one_object():
    some: list[Any] = [{"kind": "List"}, {"kind": "List", "items": {}}, {"items": []}, [1], 5]
    for data in some:
        (document,) = read_objects(json.dumps(data).encode()).documents
        assert document.data == data
