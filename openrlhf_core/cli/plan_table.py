"""The tables of `rlhf plan`."""

import json
import shutil
from collections.abc import Iterator
from io import StringIO
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from openrlhf_core.spec.kinds.quantity import format_bytes
from openrlhf_core.spec.planning.fit import Fit, GroupMemory
from openrlhf_core.spec.planning.plan import Plan, plan_hash

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
    console.print(_groups_table(report.plan))
    for ignored in report.plan.ignored:
        console.print(
            f"ignored: {ignored.role} in group {ignored.group}: {ignored.reason}", markup=False
        )
    if report.fit:
        console.print(_memory_table(report.fit))
    console.print(f"model shape: {report.shape_note}", markup=False, soft_wrap=True)
    for line in _verdict(report):
        console.print(line, markup=False, soft_wrap=True)
    return text.getvalue()


def _resolved(report: "Report") -> Iterator[str]:
    rl, learner = report.rl, report.learner
    yield (
        f"{report.training.rl.algorithm}: {rl.rollout_batch_size} prompts x {rl.group_size} "
        f"completions a step, {learner.train_batch_size} an optimizer step"
    )
    yield (
        f"advantage {rl.advantage.estimator}, normalization {rl.advantage.normalization}; "
        f"loss {rl.policy_loss.aggregation}, clip {rl.policy_loss.clip_low:g}/"
        f"{rl.policy_loss.clip_high:g}; KL {rl.kl.coefficient:g}"
        + (f" ({rl.kl.estimator} in the {rl.kl.placement})" if rl.kl.needs_reference else "")
    )
    fill = (
        f"{learner.micro_batch_size} samples"
        if learner.micro_batch_size
        else f"{learner.max_tokens_per_micro_batch} tokens"
    )
    yield (
        f"learner {learner.dtype}, ZeRO {report.training.learner.zero_stage}, micro-batches of "
        f"{fill}; engines {learner.rollout_dtype}, tensor parallel "
        f"{report.training.rollout.tensor_parallel_size}"
    )


def _groups_table(plan: Plan) -> Table:
    table = Table(title=f"devices {plan.num_devices}, plan {plan_hash(plan)}", title_justify="left")
    for name in ("worker group", "nodes (pods)", "devices each", "learner ranks", "engines"):
        table.add_column(name, justify="left" if name == "worker group" else "right")
    table.add_column("roles")
    for group in plan.groups:
        ranks = sum(rank.group == group.name for rank in plan.learner_ranks)
        engines = sum(engine.group == group.name for engine in plan.engines)
        turns = " (taking turns)" if group.takes_turns else ""
        table.add_row(
            group.name,
            str(group.nodes),
            str(group.devices_per_node),
            str(ranks or "-"),
            str(engines or "-"),
            ", ".join(group.roles) + turns,
        )
    return table


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
    if group.learner:
        yield "learner parameters", group.learner.parameters
        yield "learner gradients", group.learner.gradients
        yield "learner optimizer", group.learner.optimizer
        yield "learner activations", group.learner.activations
        yield "learner logits", group.learner.logits
    if group.reference is not None:
        yield "reference parameters", group.reference
    if group.engine:
        yield "engine parameters", group.engine.parameters
        yield "engine KV cache", group.engine.kv_cache
    for phase, peak in group.phases.items():
        yield f"peak of {phase}", peak


def _verdict(report: "Report") -> Iterator[str]:
    fit = report.fit
    if fit is None:
        return
    if fit.device_bytes is None:
        yield "memory of a device is not known here: compare with --device-memory 80Gi"
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
