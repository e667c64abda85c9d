"""The tables of `rlhf plan`."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import fields
from io import StringIO
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from openrlhf_core.spec.kinds.quantity import format_bytes
from openrlhf_core.spec.planning.fit import Fit, GroupMemory
from openrlhf_core.spec.planning.plan import Plan, PlannedGroup, plan_hash
from openrlhf_core.spec.planning.presets import RLSettings
from openrlhf_core.spec.planning.resolve import ResolvedTraining

if TYPE_CHECKING:
    from openrlhf_core.cli.plan import Report

WIDEST = 120


def render(report: "Report") -> str:
    """The report as text, as wide as the terminal."""
    text = StringIO()
    width = min(shutil.get_terminal_size((100, 24)).columns, WIDEST)
    console = Console(file=text, width=max(width, 60), highlight=False)
    console.print(f"Plan of {report.name}", style="bold")
    for line in _resolved(report):
        console.print(line, markup=False)
    console.print(_groups_table(report.resolved))
    for line in _roles(report.resolved):
        console.print(line, markup=False)
    if report.fit:
        console.print(_memory_table(report.fit))
    console.print(f"model shape: {report.shape_note}", markup=False, soft_wrap=True)
    for line in _verdict(report):
        console.print(line, markup=False, soft_wrap=True)
    return text.getvalue()


def _resolved(report: "Report") -> Iterator[str]:
    resolved = report.resolved
    if resolved.rl is not None and resolved.spec.rl is not None:
        yield from _rl_lines(resolved.spec.rl.algorithm, resolved.rl)
    for role, learner in resolved.learners.items():
        fill = (
            f"{learner.micro_batch_size} samples"
            if learner.micro_batch_size
            else f"{learner.max_tokens_per_micro_batch} tokens"
        )
        yield (
            f"{role} learner: {learner.dtype}, ZeRO {learner.zero_stage}, "
            f"{learner.train_batch_size} samples an optimizer step, micro-batches of {fill}"
        )
    if resolved.rollout is not None:
        yield (
            f"engines: {resolved.rollout.dtype}, "
            f"tensor parallel {resolved.rollout.tensor_parallel_size}"
        )


def _rl_lines(algorithm: str, rl: RLSettings) -> Iterator[str]:
    yield (f"{algorithm}: {rl.rollout_batch_size} prompts x {rl.group_size} completions a step")
    yield (
        f"advantage {rl.advantage.estimator}, normalization {rl.advantage.normalization}; "
        f"loss {rl.policy_loss.aggregation}, clip {rl.policy_loss.clip_low:g}/"
        f"{rl.policy_loss.clip_high:g}; KL {rl.kl.coefficient:g}"
        + (f" ({rl.kl.estimator} in the {rl.kl.placement})" if rl.kl.needs_reference else "")
    )


def _roles(resolved: ResolvedTraining) -> Iterator[str]:
    """Why each role is started, and why roles that the manifest lists are not."""
    for needed in resolved.roles:
        yield f"{needed.role} ({needed.kind.lower()}): {needed.reason}"
    for ignored in resolved.plan.ignored:
        yield f"{ignored.role} in group {ignored.group} is not started: {ignored.reason}"


def _groups_table(resolved: ResolvedTraining) -> Table:
    plan = resolved.plan
    title = f"devices {plan.num_devices}, plan {plan_hash(plan)}"
    table = Table(title=title, title_justify="left")
    for name in ("worker group", "nodes (pods)", "devices each", "ranks or engines"):
        table.add_column(name, justify="right")
    table.columns[0].justify = "left"
    for group in plan.groups:
        turns = "\n(taking turns)" if group.takes_turns else ""
        table.add_row(
            group.name,
            str(group.nodes),
            str(group.devices_per_node),
            "\n".join(_processes(plan, group)) + turns,
        )
    return table


def _processes(plan: Plan, group: PlannedGroup) -> Iterator[str]:
    """Number of processes of each role in a group: `2 Policy ranks`."""
    for role, ranks in plan.ranks.items():
        if count := sum(rank.group == group.name for rank in ranks):
            yield f"{count} {role} rank{'s' if count > 1 else ''}"
    if count := sum(engine.group == group.name for engine in plan.engines):
        yield f"{count} engine{'s' if count > 1 else ''}"


def _memory_table(fit: Fit) -> Table:
    known = "" if fit.device_bytes is None else f" of {format_bytes(fit.device_bytes)}"
    table = Table(title=f"Memory of each device{known}", title_justify="left")
    table.add_column("")
    for group in fit.groups:
        table.add_column(group.group, justify="right")
    rows = [dict(_memory_rows(group)) for group in fit.groups]
    for name in dict.fromkeys(name for row in rows for name in row):
        style = "bold" if name.startswith("peak") else None
        table.add_row(
            name, *[format_bytes(row[name]) if name in row else "-" for row in rows], style=style
        )
    return table


def _memory_rows(group: GroupMemory) -> Iterator[tuple[str, int]]:
    for role, held in group.roles.items():
        for item in fields(held):
            if item.name != "kv_cache_wanted":
                yield f"{role} {item.name.replace('_', ' ')}", getattr(held, item.name)
    for phase, peak in group.phases.items():
        yield f"peak of {phase.replace('_', ' ')}", peak


def _verdict(report: "Report") -> Iterator[str]:
    fit = report.fit
    if fit is None:
        return
    if fit.device_bytes is None:
        yield "The memory of a device is not known: pass --device-memory, as 80Gi."
        return
    if not fit.problems:
        yield "It fits."
        return
    yield from (f"does not fit: {problem}" for problem in fit.problems)
    if report.changes is None:
        yield "No small change makes it fit: take larger devices or a smaller model."
        return
    yield "The smallest change that makes it fit (under spec.training):"
    for change in report.changes:
        yield f"  {change.field}: {json.dumps(change.value)}"
