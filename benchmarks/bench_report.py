"""From measured intervals and rows to figures, and the figures as a table. Pure."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench_cases import PROMPT_TOKENS, SAMPLES, Case, Side
from bench_measure import Interval

PHASES = ("time/rollout", "time/reward", "time/logprob", "time/train", "time/weight_sync")


@dataclass(frozen=True)
class Run:
    """One run of one side, its measured steps only."""

    side: Side
    interval: Interval
    rows: Sequence[Mapping[str, float]]
    """Metrics of each measured step."""
    lengths: Sequence[Sequence[int]]
    """Tokens of each completion, for each measured step."""

    @property
    def num_steps(self) -> int:
        return len(self.rows)

    @property
    def num_tokens(self) -> int:
        return sum(sum(step) for step in self.lengths)

    def check(self, case: Case) -> None:
        """Raises ValueError unless what the trainer reports is what its reward function saw."""
        for row, step in zip(self.rows, self.lengths, strict=True):
            if len(step) != SAMPLES or sum(step) != row["rollout/num_tokens"]:
                raise ValueError(
                    f"{self.side} reports {row['rollout/num_tokens']:g} tokens, and its reward "
                    f"function saw {len(step)} completions with {sum(step)}"
                )
            if case.is_forced and set(step) != {case.max_tokens}:
                raise ValueError(
                    f"{self.side} made completions of {min(step)} to {max(step)} tokens where "
                    f"{case.max_tokens} are forced"
                )


def figures(run: Run) -> dict[str, Any]:
    """What a run took, a step and 1,000 tokens of completions."""
    steps, thousands = run.num_steps, run.num_tokens / 1000
    cpu = run.interval.total_cpu
    names = [name for name in PHASES if any(name in row for row in run.rows)]
    by_process = {kind: seconds / steps for kind, seconds in run.interval.cpu_seconds.items()}
    if run.side == "trl":  # one process: what it tells about itself
        by_process["generation"] = sum(row["cpu/rollout"] for row in run.rows) / steps
        by_process["driver"] -= by_process["generation"]
    return {
        "side": run.side,
        "steps": steps,
        "tokens": run.num_tokens,
        "cpu_seconds_per_step": cpu / steps,
        "wall_seconds_per_step": run.interval.wall_seconds / steps,
        "cpu_seconds_per_1000_tokens": cpu / thousands,
        "cpu_by_process_per_step": by_process,
        "wall_by_phase_per_step": {
            name: sum(row.get(name, 0.0) for row in run.rows) / steps for name in names
        },
        "reward_first": run.rows[0].get("reward/mean"),
        "reward_last": run.rows[-1].get("reward/mean"),
        "load_average": run.interval.load,
    }


def padding_factor(micro_batches: Sequence[Sequence[int]]) -> float:
    """Tokens computed in the learner's passes over tokens that are there.

    `micro_batches` hold the lengths of prompt and completion of the samples that share a pass.

    >>> padding_factor([[4, 2], [1]])
    1.2857142857142858
    """
    computed = sum(len(batch) * max(batch) for batch in micro_batches)
    return computed / sum(sum(batch) for batch in micro_batches)


def trl_padding_factor(lengths: Sequence[int]) -> float:
    """Tokens that TRL's learner computes in a step over tokens that are there."""
    present = sum(lengths) + PROMPT_TOKENS * len(lengths)
    return (max(lengths) + PROMPT_TOKENS) * len(lengths) / present


def summarize(case: Case, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Medians over the runs of each side and TRL's figures over ours."""
    sides: dict[str, dict[str, float]] = {}
    for side in ("ours", "trl"):
        mine = [run for run in runs if run["side"] == side]
        names = ("cpu_seconds_per_step", "wall_seconds_per_step", "cpu_seconds_per_1000_tokens")
        sides[side] = {name: statistics.median(run[name] for run in mine) for name in names}
    if case.is_forced and len({run["tokens"] for run in runs}) != 1:
        raise ValueError(f"{case.name}: the sides made different numbers of tokens")
    unit = "cpu_seconds_per_step" if case.is_forced else "cpu_seconds_per_1000_tokens"
    ratio = sides["trl"][unit] / sides["ours"][unit]
    return {"sides": sides, "trl_over_ours_cpu": ratio, "ratio_of": unit}
