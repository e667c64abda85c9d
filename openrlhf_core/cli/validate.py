"""`rlhf validate`: lists every problem of manifests. Offline; opens no model, data or code."""

from collections.abc import Sequence
from pathlib import Path

from openrlhf_core.cli.problems import as_json, as_text, write_out
from openrlhf_core.spec.reading.validate import ManifestFile, read_manifests


def validate(files: Sequence[Path], output_format: str) -> int:
    """Prints what is wrong with the files; returns 0 when nothing is, else 2."""
    judged = [(file, read_manifests(file)) for file in files]
    problems = [problem for _, manifests in judged for problem in manifests.problems]
    if output_format == "json":
        write_out(as_json(problems))
    else:
        write_out(as_text(problems))
        sound = [(file, manifests) for file, manifests in judged if not manifests.problems]
        write_out("".join(f"{file}: valid ({_names(manifests)})\n" for file, manifests in sound))
    return 2 if problems else 0


def _names(manifests: ManifestFile) -> str:
    return ", ".join(f"{found.kind} {found.metadata.name_here}" for found in manifests.objects)
