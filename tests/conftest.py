"""What all tests share: one thread, no telemetry, no network, and checked tensor shapes."""

import os
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

from openrlhf_core.garbage_collection import collector_paused

SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "WANDB_MODE": "offline",
    "TOKENIZERS_PARALLELISM": "false",
}
for name, value in SETTINGS.items():
    os.environ.setdefault(name, value)

# Every shape written in a signature of these is checked while the tests run, nowhere else.
install_import_hook(
    ["openrlhf_core.algorithms", "openrlhf_core.samples", "openrlhf_core.models.logprobs"],
    "beartype.beartype",
)

# A busy machine is no failure. CI draws the same examples each time, a developer new ones.
settings.register_profile(
    "ours",
    deadline=None,
    derandomize=os.environ.get("CI") == "true",
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ours")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Imports the test files, and torch with them, without garbage collection in their midst."""
    with collector_paused():
        return (yield)
