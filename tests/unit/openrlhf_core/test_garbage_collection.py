"""The collector makes a pause for imports and is as it was afterwards."""

import gc
import subprocess
import sys

import pytest

from openrlhf_core.garbage_collection import collector_paused

HEAVY = """
import gc, sys
passes = []
gc.callbacks.append(lambda phase, info: passes.append(phase))
from openrlhf_core.garbage_collection import collector_paused
with collector_paused():
    passes.clear()
    import torch
    inside = len(passes)
print(inside, gc.isenabled())
"""


def test_an_import_inside_the_block_meets_no_collection() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HEAVY], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["0", "True"]


def test_the_collector_comes_back_also_after_an_error() -> None:
    with pytest.raises(ImportError), collector_paused():
        assert not gc.isenabled()
        raise ImportError("broken library")
    assert gc.isenabled()


def test_a_block_inside_a_block_leaves_the_outer_one_paused() -> None:
    with collector_paused():
        with collector_paused():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
