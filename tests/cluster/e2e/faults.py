"""Breaks jobs in every way we know, on the real node: `make faults` (FAULTS_ARGS='--only driver').

Writes docs/faults.md: what was broken, what the status said, how long it took, on which day.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import faults_killed
import faults_life
import faults_wrong
from bench import Bench
from following import describe, follow, has_ended, is_true
from installation import operator_log
from lab_cluster import CheckFailed, lab_cluster
from outcome import check_no_traceback, metric_rows, output_directory
from run import BUILD, QUICKSTART, ROOT, prepare, read_documents, say

TABLE = ROOT / "docs" / "faults.md"
STEPS = 120
HEADER = """\
# Faults, injected on a real node

Written by `make faults` on {date}: real Kubernetes, KubeRay, Ray, vLLM and DeepSpeed on one machine
of {cores} cores. Each job is the quickstart of {steps} steps with a checkpoint every 10; a job that
completes after a fault has the metrics of the undisturbed run, bit for bit, at every step.
{passed} of {total} hold.

| scenario (number in docs/scenarios.md) | what is done | result | seconds | what the status said |
|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Scenario:
    """One fault. `numbers` are those of docs/scenarios.md."""

    name: str
    numbers: str
    act: Callable[[Bench, str], str]


SCENARIOS = (
    Scenario("head-pod", "6", faults_killed.head_pod),
    Scenario("worker-pod", "7", faults_killed.worker_pod),
    Scenario("driver", "5", faults_killed.driver),
    Scenario("operator", "2, 28", faults_killed.operator),
    Scenario("operator-start", "2", faults_killed.operator_while_starting),
    Scenario("upgrade", "28", faults_killed.upgrade),
    Scenario("kuberay", "20", faults_killed.kuberay),
    Scenario("gentle-worker", "14", faults_killed.gentle_delete),
    Scenario("gentle-head", "14", faults_killed.gentle_head_delete),
    Scenario("suspend", "12", faults_life.suspend_and_resume),
    Scenario("born-suspended", "13", faults_life.created_suspended),
    Scenario("del-pending", "18", faults_life.deleted_pending),
    Scenario("del-starting", "18", faults_life.deleted_starting),
    Scenario("del-running", "18", faults_life.deleted_running),
    Scenario("del-suspended", "18", faults_life.deleted_suspended),
    Scenario("del-finished", "18", faults_life.deleted_finished),
    Scenario("del-dead-head", "18", faults_life.deleted_with_a_dead_head),
    Scenario("deadline", "15", faults_life.active_deadline),
    Scenario("ttl", "17", faults_life.time_to_live),
    Scenario("runtime-edited", "27", faults_life.runtime_edited),
    Scenario("wrong-image", "8, 9", faults_wrong.wrong_image),
    Scenario("missing-claim", "8", faults_wrong.missing_claim),
    Scenario("memory-limit", "8", faults_wrong.memory_limit),
    Scenario("exit-two", "4", faults_wrong.exit_two),
    Scenario("hang", "16", faults_wrong.hang),
    Scenario("missing-reward", "8", faults_wrong.missing_reward_source),
    Scenario("bare-path", "10", faults_wrong.bare_path),
    Scenario("unschedulable", "8, 9", faults_wrong.unschedulable),
    Scenario("retries-out", "4", faults_wrong.retries_run_out),
)


@dataclass(frozen=True)
class Result:
    """How a scenario went."""

    scenario: Scenario
    is_held: bool
    seconds: float
    said: str


def main(arguments: list[str]) -> int:
    """Runs the scenarios; 0 when all hold. The table is written when none was left out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--lab", required=True, help="program of the test cluster")
    parser.add_argument("--only", action="append", default=[], help="names of scenarios")
    parser.add_argument("--keep", action="store_true", help="leave the cluster up")
    options = parser.parse_args(arguments)
    chosen = [item for item in SCENARIOS if not options.only or item.name in options.only]
    with lab_cluster(options.lab, keep=options.keep) as cluster:
        prepare(cluster, images=False)
        bench = Bench(cluster, template())
        bench.baseline = undisturbed(bench)
        results = [attempt(bench, scenario) for scenario in chosen]
        (BUILD / "faults-operator.log").write_text(operator_log(cluster))
    (BUILD / "faults.json").write_text(json.dumps([row(result) for result in results], indent=1))
    if not options.only:
        TABLE.write_text(table(results))
    return 0 if all(result.is_held for result in results) else 1


def template() -> dict[str, object]:
    """The quickstart as the scenarios run it."""
    job = read_documents(QUICKSTART)[0]
    job["spec"]["training"] |= {
        "maxSteps": STEPS,
        "seed": 7,
        "checkpoint": {"everySteps": 10, "keep": 3},
    }
    job["spec"]["lifecycle"] = {"gracePeriodSeconds": 30, "backoffSeconds": 1}
    return job


def undisturbed(bench: Bench) -> list[dict[str, object]]:
    """Rows of the run that nothing disturbs."""
    name = bench.start(bench.job("undisturbed"))
    job = follow(bench.cluster, name, 600, has_ended)
    if not is_true(job, "Complete"):
        raise CheckFailed(describe(job))
    rows = metric_rows(output_directory(bench.cluster, job))
    bench.clear(name)
    return rows


def attempt(bench: Bench, scenario: Scenario) -> Result:
    """Runs one scenario and clears up after it, however it went."""
    started = time.monotonic()
    say(f"{scenario.name} ...")
    try:
        said = scenario.act(bench, scenario.name)
        check_no_traceback(operator_log(bench.cluster))
        is_held = True
    except CheckFailed as fault:
        said, is_held = str(fault), False
    seconds = time.monotonic() - started
    say(f"{scenario.name}: {'holds' if is_held else 'FAILS'} after {seconds:.0f} s: {said}")
    try:
        bench.clear(scenario.name)
    except CheckFailed as fault:
        said, is_held = f"{said}; {fault}", False
    return Result(scenario, is_held, seconds, said)


def row(result: Result) -> list[str]:
    """The cells of a result."""
    what = (result.scenario.act.__doc__ or "").strip()
    said = " ".join(result.said.split()).replace("|", "\\|")[:400]
    held = "holds" if result.is_held else "**fails**"
    name = f"{result.scenario.name} ({result.scenario.numbers})"
    return [name, what, held, f"{result.seconds:.0f}", said]


def table(results: list[Result]) -> str:
    """docs/faults.md."""
    header = HEADER.format(
        date=datetime.now(UTC).date().isoformat(),
        cores=os.cpu_count(),
        steps=STEPS,
        passed=sum(result.is_held for result in results),
        total=len(results),
    )
    return header + "".join(f"| {' | '.join(row(result))} |\n" for result in results)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
