"""The results as Markdown. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench_bound import least_seconds

PHASE_NAMES = {
    "time/rollout": "generation",
    "time/reward": "reward",
    "time/logprob": "log-probs",
    "time/train": "update",
    "time/weight_sync": "weight sync",
}


def render(document: Mapping[str, Any]) -> str:
    """All cases: both sides, the ratio, and where our time goes."""
    machine, versions = document["machine"], document["versions"]
    used = ", ".join(f"{name} {number}" for name, number in versions.items())
    parts = [
        f"# GRPO on CPU: ours against TRL\n\n{machine['processor']}, {machine['cores']} cores, one "
        f"thread a process; {used}.\n"
    ]
    cases = document["cases"]
    parts.append(comparison(cases))
    if "operations_per_second" in machine:
        parts.append(bound(cases, machine["operations_per_second"]))
    parts += [
        f"## Where our time goes: {name}\n\n{breakdown(case)}" for name, case in cases.items()
    ]
    return "\n".join(parts)


def comparison(cases: Mapping[str, Any]) -> str:
    """One line a case; medians over the rounds."""
    header = (
        "case", "our CPU-s/step", "TRL CPU-s/step", "our CPU-s/1k tokens", "TRL CPU-s/1k tokens",
        "TRL/ours", "wall s/step", "padding", "load",
    )  # fmt: skip
    lines = []
    for name, case in cases.items():
        ours, trl = case["summary"]["sides"]["ours"], case["summary"]["sides"]["trl"]
        loads = [run["load_average"] for run in case["runs"]]
        lines.append(
            (
                name,
                f"{ours['cpu_seconds_per_step']:.3f}",
                f"{trl['cpu_seconds_per_step']:.3f}",
                f"{ours['cpu_seconds_per_1000_tokens']:.4f}",
                f"{trl['cpu_seconds_per_1000_tokens']:.4f}",
                f"**{case['summary']['trl_over_ours_cpu']:.2f}**",
                f"{ours['wall_seconds_per_step']:.3f} / {trl['wall_seconds_per_step']:.3f}",
                f"{mean(case, 'ours', 'padding_factor'):.2f} / "
                f"{mean(case, 'trl', 'padding_factor'):.2f}",
                f"{min(loads):.1f}-{max(loads):.1f}",
            )
        )
    return table(header, lines)


def bound(cases: Mapping[str, Any], rate: float) -> str:
    """What the matrix products alone take, which both sides do."""
    header = (
        "case", "least: generation", "least: update", "ours / least", "TRL / least",
        "TRL: generation", "TRL: the rest",
    )  # fmt: skip
    lines = []
    for name, case in cases.items():
        generation, update = least_seconds(case, rate)
        sides = case["summary"]["sides"]
        ours, trl = (sides[side]["cpu_seconds_per_step"] for side in ("ours", "trl"))
        runs = [run for run in case["runs"] if run["side"] == "trl"]
        parts = means(runs, "cpu_by_process_per_step")
        lines.append(
            (
                name,
                f"{generation:.3f}",
                f"{update:.3f}",
                f"{ours / (generation + update):.1f}",
                f"{trl / (generation + update):.1f}",
                f"{parts['generation']:.3f}" if "generation" in parts else "",
                f"{parts['driver']:.3f}",
            )
        )
    return (
        f"## Matrix products alone\n\nAt {rate / 1e9:.0f} GFLOP/s, as one thread multiplies large "
        "float32 matrices here; CPU-s/step.\n\n" + table(header, lines)
    )


def breakdown(case: Mapping[str, Any]) -> str:
    """Our wall seconds by phase and CPU seconds by kind of process, mean over the rounds."""
    runs = [run for run in case["runs"] if run["side"] == "ours"]
    phases = {PHASE_NAMES[k]: v for k, v in means(runs, "wall_by_phase_per_step").items()}
    return (
        table(("phase", "wall s/step"), rows(phases))
        + "\n"
        + table(("process", "CPU-s/step"), rows(means(runs, "cpu_by_process_per_step")))
    )


def mean(case: Mapping[str, Any], side: str, name: str) -> float:
    found = [run[name] for run in case["runs"] if run["side"] == side]
    return float(sum(found) / len(found))


def means(runs: Sequence[Mapping[str, Any]], name: str) -> dict[str, float]:
    keys = {key: None for run in runs for key in run[name]}
    return {key: sum(run[name].get(key, 0.0) for run in runs) / len(runs) for key in keys}


def rows(values: Mapping[str, float]) -> list[tuple[str, str]]:
    return [(name, f"{value:.4f}") for name, value in values.items()]


def table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    every = [header, ["---"] * len(header), *lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in every)
