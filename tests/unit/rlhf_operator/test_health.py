"""Probes: well while lists succeed and passes end, ill with the reason otherwise."""

import asyncio
import time

import aiohttp
from prometheus_client import CollectorRegistry, Counter

from rlhf_operator.health import LONGEST_PASS_SECONDS, Health, health_answer, metrics_answer, serve


def make_health(longest_pass: float = 0.0) -> Health:
    return Health(patience_seconds=60, longest_pass=lambda: longest_pass)


def test_an_operator_that_lists_and_ends_its_passes_is_well() -> None:
    assert make_health().troubles() == []
    assert health_answer(make_health()).status == 200


def test_silence_of_the_api_server_is_told() -> None:
    health = make_health()
    health.last_list = time.monotonic() - 61
    (trouble,) = health.troubles()
    assert "not answered a list" in trouble
    assert health_answer(health).status == 503
    health.listed()
    assert health.troubles() == []


def test_a_pass_that_does_not_end_is_told() -> None:
    (trouble,) = make_health(LONGEST_PASS_SECONDS + 1).troubles()
    assert "a pass has taken" in trouble


def test_watches_that_miss_changes_are_told() -> None:
    health = make_health()
    health.watch_errors = ["watches miss changes"]
    assert health_answer(health).status == 503


def test_metrics_are_served_as_prometheus_reads_them() -> None:
    async def inside() -> tuple[int, str]:
        registry = CollectorRegistry()
        Counter("things", "Things.", registry=registry).inc()
        runner = await serve(0, {"/metrics": lambda: metrics_answer(registry)})
        try:
            port = runner.addresses[0][1]
            url = f"http://127.0.0.1:{port}/metrics"
            async with aiohttp.ClientSession() as session, session.get(url) as answer:
                return answer.status, await answer.text()
        finally:
            await runner.cleanup()

    status, text = asyncio.run(inside())
    assert status == 200
    assert "things_total 1.0" in text
