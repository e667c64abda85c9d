"""Prints problems of manifests, and loads the one job of a file for a command."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TextIO

from openrlhf_core.cli.overrides import apply_overrides
from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.kinds.job import RLHFJob
from openrlhf_core.spec.reading.objects import read_objects
from openrlhf_core.spec.reading.problem import Problem
from openrlhf_core.spec.reading.validate import ManifestFile, judge_yaml, read_manifests


def as_text(problems: Sequence[Problem]) -> str:
    """One line for each problem, never wrapped, so that editors and grep can read them."""
    return "".join(f"{problem}\n" for problem in problems)


def as_json(problems: Sequence[Problem]) -> str:
    """A JSON list of {file, line, field, message, fix}."""
    return json.dumps([asdict(problem) for problem in problems], indent=2) + "\n"


def load_manifests(file: Path, overrides: Sequence[str] = ()) -> ManifestFile:
    """The sound objects of a file after overrides. ConfigurationError lists every problem."""
    manifests = _overridden(file, overrides) if overrides else read_manifests(file)
    if manifests.problems:
        raise ConfigurationError(as_text(manifests.problems).rstrip("\n"))
    return manifests


def only_job(manifests: ManifestFile, file: Path) -> RLHFJob:
    """The RLHFJob of a file that holds one; ConfigurationError when there are more or none."""
    if len(manifests.jobs) != 1:
        raise ConfigurationError(
            f"{file}:1: holds {len(manifests.jobs)} RLHFJobs; give a file that holds one"
        )
    return manifests.jobs[0]


def write(stream: TextIO, text: str) -> None:
    """Writes text; characters that the stream's encoding lacks are escaped."""
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def write_out(text: str) -> None:
    write(sys.stdout, text)


def _overridden(file: Path, overrides: Sequence[str]) -> ManifestFile:
    try:
        text = read_objects(file.read_bytes())
    except (OSError, ValueError):
        return read_manifests(file)
    documents = tuple(
        replace(document, data=apply_overrides(document.data, overrides))
        if isinstance(document.data, dict) and document.data.get("kind") == "RLHFJob"
        else document
        for document in text.documents
    )
    return judge_yaml(replace(text, documents=documents), str(file))
