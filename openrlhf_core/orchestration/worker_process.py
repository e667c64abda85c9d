"""What the process of an actor does before it loads a library for a device."""

import os

from openrlhf_core.ray_environment import forget_launcher


def enter_worker(visible_devices: str | None) -> None:
    """Gives the process its CUDA devices (None on CPU) and takes a launcher's ranks from it."""
    forget_launcher(os.environ)
    if visible_devices is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible_devices
