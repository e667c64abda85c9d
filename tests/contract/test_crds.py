"""The committed CRDs: made from the spec, structural, documented, bounded, small; their CEL rules
say what the Python rules say."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cel
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from manifest_cases import BASE, MALFORMED, spoilt

from openrlhf_core.spec.kinds.base import SpecModel
from openrlhf_core.spec.kinds.job import RLHFJob
from openrlhf_core.spec.kinds.sources import ALLOWED, parse_source, source_rule
from openrlhf_core.spec.reading.rules import RULES, rules_of
from openrlhf_core.spec.reading.spec_tree import instances
from openrlhf_core.spec.reading.validate import judge_document
from rlhf_operator.codegen.crd import KINDS, definition, file_name, render

ROOT = Path(__file__).parents[2]
CRDS = ROOT / "crds"
MAX_BYTES = 200_000
PRESERVE = "x-kubernetes-preserve-unknown-fields"
INT_OR_STRING = "x-kubernetes-int-or-string"
TYPES = {"object", "array", "string", "integer", "number", "boolean"}

all_kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.model.__name__)


def schemas(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema below one, with its path."""
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from schemas(field, f"{path}.{name}")
    if "items" in schema:
        yield from schemas(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from schemas(schema["additionalProperties"], f"{path}[*]")


def own_schemas(kind) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema of a kind's spec and status."""
    (version,) = definition(kind)["spec"]["versions"]
    root = version["schema"]["openAPIV3Schema"]
    for part in ("spec", "status"):
        if part in root["properties"]:
            yield from schemas(root["properties"][part], part)


@all_kinds
def test_the_committed_file_is_what_the_spec_makes(kind):
    assert (CRDS / file_name(kind)).read_text() == render(kind)


def test_the_folder_holds_one_file_a_kind_and_nothing_else():
    assert {path.name for path in CRDS.iterdir()} == {file_name(kind) for kind in KINDS}


@all_kinds
def test_a_file_is_small_enough_for_kubectl_apply(kind):
    text = (CRDS / file_name(kind)).read_bytes()
    assert len(text) < MAX_BYTES
    assert yaml.safe_load(text) == definition(kind)


@all_kinds
def test_schemas_are_structural(kind):
    for path, schema in own_schemas(kind):
        assert not {"$ref", "$defs", "anyOf", "oneOf", "allOf", "const", "title"} & set(schema), (
            path
        )
        if schema.get(INT_OR_STRING):
            assert "type" not in schema, path
        else:
            assert schema["type"] in TYPES, path
        assert not ("properties" in schema and "additionalProperties" in schema), path
        assert set(schema.get("required", [])) <= set(schema.get("properties", {})), path
        assert "default" not in schema or schema["default"] is not None, path


@all_kinds
def test_every_field_is_described(kind):
    for path, schema in own_schemas(kind):
        for name, field in schema.get("properties", {}).items():
            assert len(field.get("description", "")) > 3, f"{path}.{name}"


@all_kinds
def test_every_field_is_bounded(kind):
    for path, schema in own_schemas(kind):
        match schema.get("type"):
            case "string":
                assert "enum" in schema or "maxLength" in schema, path
            case "integer" | "number":
                assert {"minimum", "maximum"} <= set(schema), path
            case "array":
                assert "maxItems" in schema, path
            case "object" if "properties" not in schema:
                assert "maxProperties" in schema, path


@all_kinds
def test_list_maps_have_their_keys(kind):
    for path, schema in own_schemas(kind):
        if schema.get("x-kubernetes-list-type") == "map":
            keys = schema["x-kubernetes-list-map-keys"]
            fields = schema["items"]["properties"]
            for key in keys:
                required = key in schema["items"].get("required", [])
                assert required or "default" in fields[key], path


def test_the_job_has_columns_a_short_name_and_a_status():
    crd = yaml.safe_load((CRDS / "openrlhf.io_rlhfjobs.yaml").read_text())
    (version,) = crd["spec"]["versions"]
    assert crd["spec"]["names"]["shortNames"] == ["rlhf"]
    assert version["subresources"] == {"status": {}}
    assert [column["name"] for column in version["additionalPrinterColumns"]] == [
        "Phase",
        "Algorithm",
        "Step",
        "Reward",
        "Restarts",
        "Devices",
        "Age",
    ]


def test_every_rule_stands_in_the_crd_of_its_class():
    texts = "".join(path.read_text() for path in sorted(CRDS.iterdir()))
    found = set()
    for crd in yaml.safe_load_all(texts.replace("# Generated", "---\n# Generated")):
        (version,) = crd["spec"]["versions"]
        root = version["schema"]["openAPIV3Schema"]
        for _, schema in schemas(root):
            found |= {rule["rule"] for rule in schema.get("x-kubernetes-validations", [])}
    assert {rule.cel for rule in RULES if rule.cel} <= found


def disagreements(model: SpecModel) -> list[str]:
    """Rules whose Python and CEL halves judge an instance differently."""
    wrong = []
    for _, instance in instances(model):
        for rule in rules_of(type(instance)):
            if rule.check is None or not rule.cel:
                continue
            is_met = not list(rule.check(instance))
            if cel.evaluate(rule.cel, {"self": instance.to_manifest()}) is not is_met:
                wrong.append(rule.claim)
    return wrong


def test_python_and_cel_agree_on_every_manifest_that_only_a_rule_refuses():
    judged = 0
    for case in MALFORMED:
        job = RLHFJob.from_manifest if not case.get("server") else None
        try:
            model = job(spoilt(case)) if job else None
        except ValueError:
            model = None
        if model is not None:
            judged += 1
            assert disagreements(model) == [], case
    assert judged > 25


ROLES = st.lists(st.sampled_from(["Policy", "Reference", "Rollout"]), min_size=1, unique=True)
GROUP = st.fixed_dictionaries(
    {"roles": ROLES, "nodes": st.integers(1, 4), "devicesPerNode": st.integers(1, 8)}
)


@given(
    groups=st.lists(GROUP, min_size=1, max_size=3),
    size=st.integers(1, 16),
    algorithm=st.sampled_from(["GRPO", "RLOO", "ReinforcePlusPlus"]),
    coefficient=st.none() | st.sampled_from([0.0, 0.1]),
    estimator=st.none() | st.sampled_from(["Return", "GroupMean"]),
    group_size=st.integers(1, 4),
    train_batch=st.none() | st.integers(1, 64),
    backend=st.sampled_from(["Auto", "NCCL", "CUDAIPC", "Gloo"]),
)
@settings(max_examples=200, deadline=None)
def test_python_and_cel_agree_on_random_placements(
    *, groups, size, algorithm, coefficient, estimator, group_size, train_batch, backend
):
    named = [{"name": f"g{index}", **group} for index, group in enumerate(groups)]
    manifest = spoilt({})
    training = manifest["spec"]["training"]
    training["placement"] = {"groups": named}
    training["rollout"]["tensorParallelSize"] = size
    training["rl"] = {
        "algorithm": algorithm,
        "groupSize": group_size,
        "rolloutBatchSize": 16,
        "kl": {"coefficient": coefficient},
        "advantage": {"estimator": estimator},
    }
    training["learner"] = {"trainBatchSize": train_batch}
    training["weightSync"] = {"backend": backend}
    assert disagreements(RLHFJob.from_manifest(manifest)) == []


@given(st.from_regex(r"([a-z]{2,9}://)?[A-Za-z0-9./@_ -]{1,16}", fullmatch=True))
def test_the_servers_rule_for_sources_takes_what_the_parser_takes(text):
    for use in ALLOWED:
        try:
            parse_source(text, use)
            is_source = True
        except ValueError:
            is_source = False
        assert cel.evaluate(source_rule(use)["rule"], {"self": text}) is is_source


def test_the_base_manifest_is_sound():
    assert judge_document(BASE)[1] == []
