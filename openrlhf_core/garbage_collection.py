"""Imports of large libraries without garbage collection in their midst.

torch, transformers, DeepSpeed and vLLM make about a million objects at import, and all of them
live until the process ends. The collector would walk over them again and again while they are
made.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Makes no collection inside the block."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
