"""Tests that take too long for `make test`. `make soak` runs them and writes docs/soak.md."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

TABLE = os.environ.get("SOAK_TABLE")
"""The page that the results are written to; unset: none is written."""
HEADER = """\
# What takes longer than `make test`

Written by `make soak`: real Ray, vLLM and DeepSpeed on one machine of {cores} cores, {day}.
{passed} of {total} hold.

| test | what must be true | result | seconds |
|---|---|---|---|
"""
ROWS: list[tuple[str, str, str, float]] = []


@pytest.fixture(autouse=True)
def claim(request: pytest.FixtureRequest, record_property) -> None:
    """Notes the first line of a test's docstring: what the table says must be true."""
    text: str = request.function.__doc__
    record_property("claim", text.strip().partition("\n")[0])


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    is_result = report.when == "call" or report.outcome != "passed"
    if not is_result or "soak" not in report.keywords:
        return
    claim = dict(report.user_properties).get("claim", "")
    result = {"passed": "holds", "failed": "FAILS", "skipped": "not run"}[report.outcome]
    ROWS.append((report.nodeid.partition("::")[2], str(claim), result, report.duration))


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish() -> Iterator[None]:
    if TABLE is not None and ROWS:
        write_table(Path(TABLE))
    return (yield)


def write_table(path: Path) -> None:
    header = HEADER.format(
        cores=os.cpu_count(),
        day=datetime.now(UTC).date().isoformat(),
        passed=sum(result == "holds" for _, _, result, _ in ROWS),
        total=len(ROWS),
    )
    lines = [
        f"| `{name}` | {claim} | {result} | {seconds:.0f} |"
        for name, claim, result, seconds in ROWS
    ]
    path.write_text(header + "\n".join(lines) + "\n")
