"""Imports of large libraries without garbage collection in their midst.

torch, transformers, DeepSpeed and vLLM make about a million objects at import, and all of them
live until the process ends. The collector would walk over them again and again while they are
made, and once more at exit: for vLLM that is a third of the processor time of the import.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Makes no collection inside the block; what exists at its end is never looked at again.

    Objects that exist then are still freed when the last reference to them goes.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
