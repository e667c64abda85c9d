"""Says what an environment holds and what of it is torn, so that an installation can go on.

Called by install_cpu.py. An installation may be killed at any moment: what is left of it is judged
by what lies on the disk, never by a note that says "began".
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import re
import shutil
from pathlib import Path

MARKER = ".made-by-rlhf"
"""Lies in an environment that the installer made, from its first moment."""


def canonical(name: str) -> str:
    """A distribution's name as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_pins(requirements: str) -> dict[str, str]:
    """Name -> exact version for each line `name==version` of a pin file.

    Raises ValueError for a line that is neither a pin nor a comment.
    """
    pins: dict[str, str] = {}
    for line in requirements.splitlines():
        text = line.split("#")[0].strip()
        if not text:
            continue
        name, separator, version = text.partition("==")
        if not separator or not version:
            raise ValueError(f"{text!r} in a pin file is no `name==version`; run `make lock`")
        pins[canonical(name)] = version.strip()
    return pins


def is_whole(distribution: importlib.metadata.Distribution) -> bool:
    """True when pip finished installing it: RECORD, rewritten last, names pip's own INSTALLER."""
    return "/INSTALLER," in (distribution.read_text("RECORD") or "")


def installed(site_packages: Path) -> dict[str, str]:
    """Name -> version of every distribution that is whole in `site_packages`."""
    distributions = importlib.metadata.distributions(path=[str(site_packages)])
    return {
        canonical(found.metadata["Name"]): found.version
        for found in distributions
        if is_whole(found)
    }


def missing_pins(pins: dict[str, str], found: dict[str, str]) -> dict[str, str]:
    """The pins that are not installed at their exact version."""
    return {name: version for name, version in pins.items() if found.get(name) != version}


def remove_torn(site_packages: Path) -> list[str]:
    """Deletes what a killed pip left, so that the next one installs it anew; returns the names.

    That is metadata without a finished RECORD (pip would take it for installed), and the
    folders `~name` that pip moves an old version to.
    """
    removed = []
    for folder in sorted(site_packages.glob("*.dist-info")):
        if "/INSTALLER," not in read_record(folder):
            shutil.rmtree(str(folder))
            removed.append(folder.name)
    for folder in sorted(site_packages.glob("~*")):
        if folder.is_dir():
            shutil.rmtree(str(folder))
        else:
            folder.unlink()
        removed.append(folder.name)
    return removed


def read_record(folder: Path) -> str:
    """The text of a distribution's RECORD, empty when there is none."""
    try:
        return (folder / "RECORD").read_text(errors="replace")
    except OSError:
        return ""


def fingerprint(files: list[Path], facts: list[str]) -> str:
    """One hash over the contents of `files` and over `facts`; changes when any of them does."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes() if file.exists() else b"absent")
        digest.update(b"\0")
    digest.update("\0".join(facts).encode())
    return digest.hexdigest()


def is_usable(venv: Path) -> bool:
    """True for an environment that was made whole and has not been moved since."""
    try:
        script = (venv / "bin" / "pip").read_text(errors="replace")
    except OSError:
        return False
    return str(venv / "bin") in script and (venv / "bin" / "python").exists()


def is_foreign(venv: Path) -> bool:
    """True when something of somebody else's lies at `venv`, which must not be deleted."""
    if is_usable(venv) or not os.path.lexists(str(venv)):
        return False
    return not venv.is_dir() or (any(venv.iterdir()) and not (venv / MARKER).exists())
