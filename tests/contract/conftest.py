"""Fixtures of the contract tests: the real helm."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def helm() -> str:
    """Path of a helm binary: on PATH, or the one that the test cluster named by LAB brings."""
    found = shutil.which("helm") or _helm_of_the_lab()
    if found is None:
        reason = "helm is not on PATH, and LAB does not name a test cluster that brings it"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def _helm_of_the_lab() -> str | None:
    lab = os.environ.get("LAB", "")
    if not Path(lab).is_file():
        return None
    subprocess.run([lab, "install", "--profile", "api"], check=True, timeout=120)
    home = Path(os.environ.get("LAB_HOME", Path.home() / ".cache" / "k8s-lab"))
    return str(home / "bin" / "helm")
