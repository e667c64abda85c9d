"""Breaks jobs in every way we know, on the real node: `make faults` (FAULTS_ARGS='--only driver').

Results are kept in build/e2e/faults.json as they come, and docs/faults.md is written from them:
what was broken, what the status said, how long it took, on which day. With --resume
only scenarios without a good result of this code are run, with --missing those without a good one
at all; with --budget no new one is begun after so many seconds.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import faults_cut_off
import faults_installed
import faults_killed
import faults_life
import faults_wrong
from bench import Bench
from installation import operator_image, operator_log
from lab_cluster import CheckFailed, lab_cluster
from outcome import check_no_traceback
from run import BUILD, QUICKSTART, ROOT, prepare, read_documents, say

RESULTS = BUILD / "faults.json"
TABLE = ROOT / "docs" / "faults.md"
STEPS = 60
HEADER = """\
# Faults, injected on a real node

Written by `make faults`: real Kubernetes, KubeRay, Ray, vLLM, DeepSpeed; one machine of {cores}
cores. Each job is the quickstart of {steps} steps with a checkpoint every 10; a job that completes
after a fault has the metrics of the undisturbed run, bit for bit, at every step.
{passed} of {total} hold; {missing} were not run yet.

| scenario (number in scenarios.md) | what is done | result | seconds | day | what the status said |
|---|---|---|---|---|---|
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
    Scenario("worker-killed", "7", faults_killed.worker_killed),
    Scenario("driver", "5", faults_killed.driver),
    Scenario("operator", "2, 28", faults_killed.operator),
    Scenario("operator-start", "2", faults_killed.operator_while_starting),
    Scenario("upgrade", "28", faults_installed.upgrade),
    Scenario("kuberay", "20", faults_killed.kuberay),
    Scenario("cut-off", "19", faults_cut_off.cut_off),
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
    Scenario("head-kept", "34", faults_life.head_kept),
    Scenario("namespaced", "32", faults_installed.namespaced),
    Scenario("wrong-image", "8, 9", faults_wrong.wrong_image),
    Scenario("missing-claim", "8", faults_wrong.missing_claim),
    Scenario("unmountable", "8", faults_wrong.unmountable_claim),
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
    """How a scenario went. `code` is a hash of what was tried."""

    name: str
    is_held: bool
    seconds: float
    said: str
    code: str
    day: str


def main(arguments: list[str]) -> int:
    """Runs the scenarios; 0 when all that were run hold."""
    options = parse(arguments)
    code = operator_image(ROOT).partition(":")[2]
    kept = read_results()
    if options.resume or options.missing:
        held = [result for result in kept.values() if result.is_held]
        done = {result.name for result in held if options.missing or result.code == code}
        options.only = options.only or [s.name for s in SCENARIOS if s.name not in done]
    deadline = time.monotonic() + options.budget
    chosen = [item for item in SCENARIOS if not options.only or item.name in options.only]
    results = []
    with lab_cluster(options.lab, keep=options.keep) as cluster:
        prepare(cluster, images=False)
        bench = Bench(cluster, template(), BUILD / f"undisturbed-{code}-{STEPS}.json")
        for scenario in chosen:
            if time.monotonic() > deadline:
                break
            results.append(attempt(bench, scenario, code))
            kept[scenario.name] = results[-1]
            write_results(kept)
    TABLE.write_text(table(kept))
    return 0 if all(result.is_held for result in results) else 1


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--lab", required=True, help="program of the test cluster")
    parser.add_argument("--only", action="append", default=[], help="names of scenarios")
    parser.add_argument("--resume", action="store_true", help="only those this code has not passed")
    parser.add_argument("--missing", action="store_true", help="only those never passed")
    parser.add_argument("--budget", type=float, default=86_400, help="begin none after so long")
    parser.add_argument("--keep", action="store_true", help="leave the cluster up")
    return parser.parse_args(arguments)


def template() -> dict[str, Any]:
    """The quickstart as the scenarios run it."""
    job = read_documents(QUICKSTART)[0]
    job["spec"]["training"] |= {
        "maxSteps": STEPS,
        "seed": 7,
        "checkpoint": {"everySteps": 10, "keep": 3},
    }
    job["spec"]["lifecycle"] = {"gracePeriodSeconds": 30, "backoffSeconds": 1}
    return job


def attempt(bench: Bench, scenario: Scenario, code: str) -> Result:
    """Runs one scenario and clears up after it, however it went."""
    started = time.monotonic()
    say(f"{scenario.name} ...")
    try:
        said = scenario.act(bench, scenario.name)
        check_no_traceback(operator_log(bench.cluster))
        is_held = True
    except CheckFailed as fault:
        said, is_held = str(fault), False
        (BUILD / f"fault-{scenario.name}.log").write_text(operator_log(bench.cluster))
    seconds = time.monotonic() - started
    say(f"{scenario.name}: {'holds' if is_held else 'FAILS'} after {seconds:.0f} s: {said}")
    try:
        bench.clear(scenario.name)
    except CheckFailed as fault:
        said, is_held = f"{said}; {fault}", False
    today = datetime.now(UTC).date().isoformat()
    return Result(scenario.name, is_held, round(seconds), said, code, today)


def read_results() -> dict[str, Result]:
    """Results of earlier runs, by scenario."""
    if not RESULTS.exists():
        return {}
    return {entry["name"]: Result(**entry) for entry in json.loads(RESULTS.read_text())}


def write_results(results: dict[str, Result]) -> None:
    """Keeps them for a later run."""
    RESULTS.write_text(json.dumps([asdict(result) for result in results.values()], indent=1))


def row(scenario: Scenario, result: Result | None) -> list[str]:
    """The cells of a result, or of one that is still to come."""
    what = " ".join((scenario.act.__doc__ or "").split())
    if result is None:
        return [f"{scenario.name} ({scenario.numbers})", what, "not run yet", "", "", ""]
    said = " ".join(result.said.split()).replace("|", "\\|")[:400]
    held = "holds" if result.is_held else "**fails**"
    name = f"{scenario.name} ({scenario.numbers})"
    return [name, what, held, f"{result.seconds:.0f}", result.day, said]


def table(results: dict[str, Result]) -> str:
    """docs/faults.md."""
    header = HEADER.format(
        cores=os.cpu_count(),
        steps=STEPS,
        passed=sum(result.is_held for result in results.values()),
        total=len(SCENARIOS),
        missing=sum(scenario.name not in results for scenario in SCENARIOS),
    )
    rows = [row(scenario, results.get(scenario.name)) for scenario in SCENARIOS]
    return header + "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
