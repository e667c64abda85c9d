"""Validates manifests: every problem of a file at once, each with its line, field path and fix.

`read_manifests` takes a file: it reads YAML, builds the models and applies the rules that cross
fields (`openrlhf_core.spec.reading.rules`). `violations` applies the rules to a model.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from openrlhf_core.spec.kinds.base import SpecModel
from openrlhf_core.spec.kinds.job import RLHFJob
from openrlhf_core.spec.kinds.kubernetes import API_VERSION
from openrlhf_core.spec.kinds.rule import FieldPath, Violation
from openrlhf_core.spec.kinds.runtime import ClusterRLHFRuntime, RLHFRuntime
from openrlhf_core.spec.reading.objects import read_objects
from openrlhf_core.spec.reading.problem import Problem
from openrlhf_core.spec.reading.repair import repaired
from openrlhf_core.spec.reading.rules import rules_of
from openrlhf_core.spec.reading.sentences import describe, violation
from openrlhf_core.spec.reading.spec_tree import instances
from openrlhf_core.spec.reading.yaml_reader import Document, YamlFile, path_text

M = TypeVar("M", bound=SpecModel)
Manifest = RLHFJob | RLHFRuntime | ClusterRLHFRuntime

KINDS: dict[str, type[Manifest]] = {
    "RLHFJob": RLHFJob,
    "RLHFRuntime": RLHFRuntime,
    "ClusterRLHFRuntime": ClusterRLHFRuntime,
}
GROUP = API_VERSION.partition("/")[0]


@dataclass(frozen=True)
class ManifestFile:
    """The valid objects of a file, and every problem of the others."""

    objects: tuple[Manifest, ...]
    problems: tuple[Problem, ...]

    @property
    def jobs(self) -> tuple[RLHFJob, ...]:
        return tuple(found for found in self.objects if isinstance(found, RLHFJob))


def read_manifests(path: Path) -> ManifestFile:
    """The manifests of a YAML or JSON file. A file that cannot be read is a problem, too."""
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        problem = Problem(str(path), 1, "", f"cannot be read: {reason}", "check the path")
        return ManifestFile((), (problem,))
    return judge_content(content, str(path))


def judge_content(content: bytes, file: str) -> ManifestFile:
    """The manifests in the content of a file; `file` is its name in problems."""
    return judge_yaml(read_objects(content), file)


def judge_yaml(text: YamlFile, file: str) -> ManifestFile:
    """The manifests of a file that is parsed already, for example after overrides."""
    problems = [Problem(file, p.line, path_text(p.path), p.message, p.fix) for p in text.problems]
    objects: list[Manifest] = []
    num_ours = 0
    for document in text.documents:
        if is_foreign(document.data):
            continue
        num_ours += 1
        found, wrong = judge_document(document.data)
        problems += [_problem(file, document, item) for item in wrong]
        if found is not None and not wrong:
            objects.append(found)
    if not num_ours and not text.problems:
        fix = f"write one with apiVersion: {API_VERSION}"
        problems.append(Problem(file, 1, "", f"holds no {', '.join(KINDS)}", fix))
    problems.sort(key=lambda problem: problem.line)
    return ManifestFile(tuple(objects) if not text.problems else (), tuple(problems))


def is_foreign(data: Any) -> bool:
    """Whether a document is an object of another kind than ours, such as a ConfigMap."""
    if not isinstance(data, Mapping):
        return False
    version, kind = data.get("apiVersion"), data.get("kind")
    if not (isinstance(version, str) and isinstance(kind, str)):
        return False
    return kind not in KINDS and version.partition("/")[0] != GROUP


def judge_document(data: Any) -> tuple[Manifest | None, list[Violation]]:
    """The object in plain data, and everything that is wrong with it."""
    if not isinstance(data, Mapping):
        message = f"is {describe(data)}, where an object belongs"
        return None, [Violation((), message, "write apiVersion, kind, metadata and spec")]
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        said = "is missing" if kind is None else f"is {describe(kind)}"
        return None, [Violation(("kind",), said, f"use one of {', '.join(KINDS)}")]
    return judge(KINDS[kind], data)


def judge(spec_class: type[M], data: Mapping[str, Any]) -> tuple[M | None, list[Violation]]:
    """The spec instance in plain data, and everything that is wrong with it."""
    try:
        model = spec_class.from_manifest(data)
    except ValidationError as error:
        wrong = _translated(error, spec_class)
        rest = repaired(spec_class, data)
        if rest is not None:
            wrong += violations(rest, invalid=[item.path for item in wrong])
        return None, wrong
    return model, list(violations(model))


def violations(model: SpecModel, invalid: list[FieldPath] | None = None) -> Iterator[Violation]:
    """Every broken rule and every repeated list entry, anywhere in a model.

    `invalid` are paths of fields that are wrong already: rules that read them are skipped.
    """
    for path, instance in instances(model):
        for rule in rules_of(type(instance)):
            reads = [(*path, *field.split(".")) for field in rule.reads]
            if rule.check and not _overlap(reads, invalid or []):
                yield from (found.below(path) for found in rule.check(instance))
        yield from (found.below(path) for found in _repeated_entries(instance))


def _overlap(reads: list[FieldPath], invalid: list[FieldPath]) -> bool:
    return any(read[: len(path)] == path[: len(read)] for read in reads for path in invalid if path)


def _repeated_entries(model: SpecModel) -> Iterator[Violation]:
    for name, info in type(model).model_fields.items():
        extra = info.json_schema_extra
        list_type = extra.get("x-kubernetes-list-type") if isinstance(extra, dict) else None
        if list_type not in ("map", "set"):
            continue
        seen = set()
        for index, item in enumerate(getattr(model, name)):
            key = item if list_type == "set" else item.name
            where: FieldPath = (info.alias or name, index)
            if key in seen:
                yield Violation(
                    where if list_type == "set" else (*where, "name"),
                    f"is {describe(key)} a second time",
                    "remove it" if list_type == "set" else "give every entry its own name",
                )
            seen.add(key)


def _translated(error: ValidationError, spec_class: type[SpecModel]) -> list[Violation]:
    found = [violation(item, spec_class) for item in error.errors(include_url=False)]
    return [item for item in found if item is not None]


def _problem(file: str, document: Document, found: Violation) -> Problem:
    line = document.line_of(found.path)
    return Problem(file, line, path_text(found.path), found.message, found.fix)
