"""Blueprints from jobs and runtimes, as the operator makes them."""

from collections.abc import Callable
from typing import Any

import pytest

from openrlhf_core.spec.kinds.job import RLHFJob
from rlhf_operator.desired.blueprint import Blueprint
from rlhf_operator.desired.resolve import resolve

Make = Callable[..., Blueprint]


@pytest.fixture
def blueprint(build: Any) -> Make:
    """`blueprint(job=..., runtime=..., is_shared=True)`: keywords are fields of the two specs."""

    def make(
        job: dict[str, Any] | None = None,
        runtime: dict[str, Any] | None = None,
        is_shared: bool = True,
        **metadata: Any,
    ) -> Blueprint:
        raw = build.raw_job(**(job or {}))
        raw["metadata"] |= metadata
        made, findings = resolve(
            RLHFJob.from_manifest(raw), build.runtime(**(runtime or {})), is_shared
        )
        assert made is not None, findings
        return made

    return make


@pytest.fixture
def findings(build: Any) -> Callable[..., tuple[str, ...]]:
    """Messages of what stops a job from being resolved."""

    def find(
        job: dict[str, Any] | None = None,
        runtime: dict[str, Any] | None = None,
        is_shared: bool = True,
    ) -> tuple[str, ...]:
        spec = RLHFJob.from_manifest(build.raw_job(**(job or {})))
        _, found = resolve(spec, build.runtime(**(runtime or {})), is_shared)
        return tuple(f"{finding.reason}: {finding.message}" for finding in found)

    return find
