"""Judging manifests: every problem at once, each at its field and line, none a traceback."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from manifest_cases import BASE, FOLDER, MALFORMED, spoilt

from openrlhf_core.spec.reading.validate import judge_content, judge_document, read_manifests
from openrlhf_core.spec.reading.yaml_reader import path_text


def fields_of(data: Any) -> list[str]:
    return [path_text(found.path) for found in judge_document(data)[1]]


def problems_of(text: str) -> list[str]:
    return [str(problem) for problem in judge_content(text.encode(), "f.yaml").problems]


def test_the_base_is_sound():
    assert judge_document(BASE)[1] == []


def test_there_are_over_a_hundred_ways_to_go_wrong():
    assert len(MALFORMED) > 100


@pytest.mark.parametrize(
    "case", MALFORMED, ids=lambda case: str(case.get("set") or case.get("remove"))[:80]
)
def test_a_malformed_manifest_is_refused_at_its_field_and_nowhere_else(case):
    expected = case.get("field") or next(iter(case["set"]))
    assert fields_of(spoilt(case)) == [expected]


def test_every_problem_is_found_at_once_with_its_line():
    text = (FOLDER / "base.yaml").read_text()
    for good, bad in [
        ("name: demo", "name: Demo"),
        ("groupSize: 8", "groupSize: '8'"),
        ("rolloutBatchSize: 16", "rollOutBatchSize: 16"),
        ("trainBatchSize: 64", "trainBatchSize: 60"),
        ("keep: 3", "keep: 0"),
        ("maxSteps: 20", "maxSteps: 20\n    epochs: 2"),
        ("claimName: results", "claimName: results, size: 1Gi"),
    ]:
        assert good in text
        text = text.replace(good, bad, 1)
    lines = text.splitlines()
    found = judge_content(text.encode(), "f.yaml").problems
    assert [problem.field for problem in found] == [
        "metadata.name",
        "spec.training.rl.groupSize",
        "spec.training.rl.rollOutBatchSize",
        "spec.training.checkpoint.keep",
        "spec.training.epochs",
        "spec.storage.output",
    ]
    for problem in found:
        name = problem.field.rpartition(".")[2]
        assert name in lines[problem.line - 1]


def test_a_rule_is_judged_beside_a_wrong_field_that_it_does_not_read():
    case = {"set": {"spec.training.learner.trainBatchSize": 60, "spec.training.seed": -1}}
    assert fields_of(spoilt(case)) == [
        "spec.training.seed",
        "spec.training.learner.trainBatchSize",
    ]


def test_a_rule_is_judged_beside_a_missing_field():
    case = {"set": {"spec.training.epochs": 3}, "remove": ["spec.training.model"]}
    assert fields_of(spoilt(case)) == ["spec.training.model", "spec.training.epochs"]


def test_a_wrong_field_is_not_taken_for_an_absent_one():
    case = {"set": {"spec.training.maxSteps": "20"}}
    assert fields_of(spoilt(case)) == ["spec.training.maxSteps"]


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ({"rl.groupSiez": 8}, "is not a field here; did you mean groupSize?"),
        ({"rl.group_size": 8}, "is not a field here; did you mean groupSize?"),
        ({"rl.groupSize": "8"}, 'is the text "8", where a whole number belongs; remove the quotes'),
        ({"rl.algorithm": "grpo"}, 'is "grpo"; did you mean GRPO?'),
        ({"optimizer.learningRate": 5}, "is 5; take a number of at most 1"),
        ({"data.packing": "on"}, 'is "on", where true or false belongs; write true or false'),
        ({"learner.trainBatchSize": 60}, "take a divisor, as 32"),
        ({"rl.kl": {"estimator": "X9"}}, 'is "X9"; use one of K1, K2, K3'),
        ({"model.policy.source": "s3://a/b"}, "s3:// sources are not supported yet; use hf://"),
        ({"reward.functions": []}, "has 0 entries; take at least 1"),
        ({"rl": 3}, "is 3, where a map belongs; write a map"),
    ],
)
def test_a_problem_says_what_is_wrong_and_how_to_mend_it(case, sentence):
    manifest = spoilt({"set": {f"spec.training.{path}": value for path, value in case.items()}})
    (found,) = judge_document(manifest)[1]
    assert sentence in f"{found.message}; {found.fix}"


def test_a_problem_prints_as_one_line():
    text = "apiVersion: openrlhf.io/v1alpha1\nkind: RLHFJob\nmetadata: {name: a}\nspec: 3\n"
    assert problems_of(text) == ["f.yaml:4: spec: is 3, where a map belongs; write a map"]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n---\n"])
def test_a_file_without_our_kinds_is_a_problem(text):
    assert problems_of(text) == [
        "f.yaml:1: holds no RLHFJob, RLHFRuntime, ClusterRLHFRuntime; "
        "write one with apiVersion: openrlhf.io/v1alpha1"
    ]


def test_other_kinds_beside_a_job_are_passed_over():
    other = "apiVersion: v1\nkind: ConfigMap\ndata: {a: 1}\n---\n"
    text = other + (FOLDER / "base.yaml").read_text()
    found = judge_content(text.encode(), "f.yaml")
    assert found.problems == ()
    assert [job.metadata.name for job in found.jobs] == ["demo"]
    assert "holds no" in problems_of(other)[0]


def test_a_kind_that_is_not_ours_in_our_group_is_a_problem():
    assert "kind: is" in problems_of("apiVersion: openrlhf.io/v1alpha1\nkind: RLHFThing\n")[0]


@pytest.mark.parametrize("text", ["5", "[1, 2]", "just words", "true"])
def test_a_document_that_is_no_object_is_a_problem(text):
    assert "where an object belongs" in problems_of(text)[0]


def test_duplicate_keys_keep_the_object_from_being_used():
    text = (FOLDER / "base.yaml").read_text() + "kind: RLHFJob\n"
    found = judge_content(text.encode(), "f.yaml")
    assert [problem.field for problem in found.problems] == ["kind"]
    assert found.objects == ()


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path):
    for path in (tmp_path / "missing.yaml", tmp_path, Path("a\0b")):
        (problem,) = read_manifests(path).problems
        assert "cannot be read" in problem.message


def test_a_live_object_with_server_fields_and_status_is_sound():
    live = copy.deepcopy(BASE)
    live["metadata"] |= {"uid": "1", "resourceVersion": "7", "generation": 2, "managedFields": [{}]}
    live["status"] = {"phase": "Running", "whatever": [None]}
    assert judge_document(live)[1] == []


def test_a_name_may_be_left_to_the_api_server():
    manifest = {**BASE, "metadata": {"generateName": "grpo-"}}
    job, problems = judge_document(manifest)
    assert problems == []
    assert job is not None
    assert (job.metadata.name, job.metadata.name_here) == ("", "grpo")


@pytest.mark.parametrize("prefix", ["Grpo-", "1-", "", "a" * 36, "a.b"])
def test_a_prefix_that_begins_no_job_name_is_a_problem(prefix):
    assert fields_of({**BASE, "metadata": {"generateName": prefix}}) == ["metadata.generateName"]


def test_an_object_with_a_name_keeps_the_prefix_that_it_was_made_of():
    manifest = {**BASE, "metadata": {"name": "a", "generateName": "what.ever-" * 6}}
    assert fields_of(manifest) == []


def test_an_object_without_name_and_prefix_is_a_problem():
    assert fields_of({**BASE, "metadata": {}}) == ["metadata.name"]


def test_quantities_of_a_runtime_are_judged_at_their_own_field():
    text = """
apiVersion: openrlhf.io/v1alpha1
kind: ClusterRLHFRuntime
metadata: {name: gpu}
spec:
  image: trainer:1
  rayVersion: 2.60.0
  device: {kind: CUDA, memory: 80GB, cpus: 0.5}
  head: {resources: {limits: {memory: 4gb}}}
  worker:
    resourcesPerDevice: {requests: {cpu: "8", memory: "129e6"}, limits: {memory: 129 MB}}
    podOverrides: {volumes: [{name: a, emptyDir: {sizeLimit: 1GiB}}]}
"""
    assert problems_of(text) == [
        "f.yaml:8: spec.device.memory: '80GB' is not a quantity; write 80G or 80Gi",
        "f.yaml:8: spec.device.cpus: 0.5 is not a quantity; put it in quotes",
        "f.yaml:9: spec.head.resources.limits.memory: '4gb' is not a quantity; write 4G or 4Gi",
        "f.yaml:11: spec.worker.resourcesPerDevice.limits.memory: '129 MB' is not a quantity; "
        "write 129M or 129Mi",
        "f.yaml:12: spec.worker.podOverrides.volumes[0].emptyDir.sizeLimit: '1GiB' is not a "
        "quantity; write 1Gi",
    ]


def test_null_fields_are_absent_fields():
    manifest = spoilt({"set": {"spec.training.epochs": None, "spec.storage": None}})
    assert judge_document(manifest)[1] == []


def test_runtimes_are_judged_too():
    text = """
apiVersion: openrlhf.io/v1alpha1
kind: ClusterRLHFRuntime
metadata: {name: cpu.small}
spec:
  image: trainer:1
  rayVersion: "2.60"
  device: {kind: CPU, resourceName: nvidia.com/gpu, cpus: 500m}
  allowedOverrides: [Env, Env]
"""
    assert [p.split(": ")[1] for p in problems_of(text)] == [
        "spec.rayVersion",
        "spec.device.resourceName",
        "spec.allowedOverrides[1]",
    ]


LEAVES: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10)
    | st.just([])
    | st.just({})
    | st.just([[]])
    | st.just({"name": []})
)


def every_path(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if not isinstance(data, dict | list):
        return [path]
    items = data.items() if isinstance(data, dict) else enumerate(data)
    return [path, *(p for key, value in items for p in every_path(value, (*path, key)))]


def put(data: Any, path: tuple[Any, ...], value: Any, key: str | None) -> Any:
    if not path:
        return value
    data = copy.deepcopy(data)
    holder: Any = data
    for part in path[:-1]:
        holder = holder[part]
    if key is not None and isinstance(holder, dict):
        holder[key] = holder.pop(path[-1])
    else:
        holder[path[-1]] = value
    return data


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_random_mutations_never_raise_and_always_say_something(data):
    manifest: Any = BASE
    for _ in range(data.draw(st.integers(1, 4))):
        path = data.draw(st.sampled_from(every_path(manifest)))
        key = data.draw(st.none() | st.text(max_size=6))
        manifest = put(manifest, path, data.draw(LEAVES), key)
        if not isinstance(manifest, dict | list):
            break
    text = yaml.safe_dump(manifest, allow_unicode=True)
    found = judge_content(text.encode(), "f.yaml")
    assert found.problems or found.objects
    for problem in found.problems:
        assert problem.message and problem.fix and problem.line >= 1
        assert "\n" not in str(problem)
