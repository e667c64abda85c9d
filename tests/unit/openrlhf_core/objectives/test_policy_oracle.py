"""The policy's loss of a whole optimizer step agrees with expected values that are not ours.

Samples go the way of training: loss weights from the aggregation, tensors from `collate`, one
backward pass for each micro-batch of each rank.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import oracle_cases
import pytest
import torch
from oracle_cases import Case

from openrlhf_core.algorithms.aggregate import LossAggregation
from openrlhf_core.engines.collate import collate, ragged
from openrlhf_core.objectives.micro_batch import MicroBatch
from openrlhf_core.objectives.objective import Loss
from openrlhf_core.objectives.outputs import LogprobTensors, TokenLogprobs
from openrlhf_core.objectives.policy import PolicyObjective, PolicySample
from openrlhf_core.spec.planning.presets import KLSettings, PolicyLossSettings

GSPO = "the policy loss GSPO does not exist yet"
LOGITS = "a case of the model's head: models/test_logprobs.py"
LEFT_OUT = {
    "gspo": GSPO,
    "gspo-paper-range": GSPO,
    "gspo-row-without-actions": GSPO,
    "gspo-extreme-logprobs": GSPO,
    "entropy": LOGITS,
    "entropy-with-temperature": LOGITS,
}
NO_KL = KLSettings(0.0, "Loss", "K3")
Rows = Sequence[Sequence[float]]


@dataclass
class Step:
    """One optimizer step: its loss, its gradients by row, and what each micro-batch reported."""

    loss: float
    gradients: dict[int, np.ndarray]
    losses: list[Loss]

    def mean(self, name: str) -> float:
        total = sum(loss.sums[name].total.item() for loss in self.losses)
        return total / sum(loss.sums[name].count.item() for loss in self.losses)


def behind_a_prompt(row: Sequence[float], prompt: float = 0.0) -> np.ndarray:
    """The row with one token before it: a sample's first token is never trained on."""
    return np.array([prompt, *row], np.float32)


def make_sample(inputs: dict[str, Rows], row: int) -> PolicySample:
    logprobs = behind_a_prompt(inputs["logprobs"][row])

    def values(name: str) -> Any:
        return behind_a_prompt(inputs[name][row]) if name in inputs else None

    return PolicySample(
        token_ids=np.arange(len(logprobs), dtype=np.int32),
        action_mask=behind_a_prompt(inputs["action_masks"][row]).astype(bool),
        advantages=values("advantages") if "advantages" in inputs else np.zeros_like(logprobs),
        rollout_logprobs=logprobs,
        old_logprobs=values("old_logprobs"),
        ref_logprobs=values("ref_logprobs"),
    )


def layout(inputs: dict[str, Any]) -> list[list[int]]:
    """Rows of each micro-batch of each rank; one micro-batch unless the case says otherwise."""
    if "ranks" in inputs:
        return [list(batch) for rank in inputs["ranks"] for batch in rank]
    return [list(b) for b in inputs.get("micro_batches", [range(len(inputs["logprobs"]))])]


def place_tensors(batch: MicroBatch[PolicySample]) -> LogprobTensors:
    """The model's tensors: the log-probs that stand in the samples' `rollout_logprobs`."""
    logprobs = batch.place([sample.rollout_logprobs for sample in batch.samples])
    return LogprobTensors(logprobs.requires_grad_(), torch.zeros_like(logprobs))


def weighted(
    inputs: dict[str, Any], aggregation: LossAggregation
) -> Iterator[tuple[list[int], list[PolicySample]]]:
    """The rows and the samples of each micro-batch, with the loss weights of the step."""
    batches = [[make_sample(inputs, row) for row in rows] for rows in layout(inputs)]
    weights = aggregation.weights([[s.num_targets for s in batch] for batch in batches])
    for rows, batch, factors in zip(layout(inputs), batches, weights, strict=True):
        pairs = zip(batch, factors, strict=True)
        yield rows, [sample.with_loss_weight(factor) for sample, factor in pairs]


def run_step(
    inputs: dict[str, Any],
    objective: PolicyObjective,
    aggregation: LossAggregation,
    packing: bool,
) -> Step:
    step = Step(0.0, {}, [])
    for rows, samples in weighted(inputs, aggregation):
        batch = collate(samples, objective.rows, 0, packing)
        outputs = place_tensors(batch)
        loss = objective.loss(outputs, batch)
        loss.total.backward()
        assert outputs.logprobs.grad is not None
        step.loss += loss.total.item()
        step.losses.append(loss)
        found = ragged(outputs.logprobs.grad, batch)
        step.gradients |= {row: one[1:] for row, one in zip(rows, found, strict=True)}
    return step


def gradient_rows(step: Step) -> list[np.ndarray]:
    return [step.gradients[row] for row in sorted(step.gradients)]


@pytest.mark.parametrize("packing", [False, True], ids=["padded", "packed"])
@pytest.mark.parametrize("case", oracle_cases.cases("policy_loss", LEFT_OUT))
def test_the_clipped_loss_agrees_with_the_oracle(case: Case, packing: bool) -> None:
    settings = case.settings
    kind = settings["aggregation"]
    clip = PolicyLossSettings(
        settings["clip_low"], settings["clip_high"], settings["dual_clip"], kind
    )
    aggregation = LossAggregation(kind, settings.get("max_completion_tokens", 1))
    objective = PolicyObjective(clip, NO_KL, 0.0, TokenLogprobs())
    step = run_step(dict(case.inputs), objective, aggregation, packing)
    case.assert_agrees(step.loss, case.expected["loss"])
    case.assert_agrees(gradient_rows(step), case.gradients["logprobs"])
    ratio = case.expected.get("clip_ratio_with_dual_clip", case.expected["clip_ratio"])
    case.assert_agrees(step.mean("policy/clip_ratio"), ratio)


@pytest.mark.parametrize("packing", [False, True], ids=["padded", "packed"])
@pytest.mark.parametrize(
    "case", oracle_cases.chosen("kl", ["in-loss", "in-loss-infinite-where-masked"])
)
def test_the_kl_term_of_the_loss_agrees_with_the_oracle(case: Case, packing: bool) -> None:
    kind = case.settings["aggregation"]
    clip = PolicyLossSettings(0.2, 0.2, None, kind)
    objective = PolicyObjective(
        clip, KLSettings(1.0, "Loss", case.settings["estimator"]), 0.0, TokenLogprobs()
    )
    step = run_step(dict(case.inputs), objective, LossAggregation(kind), packing)
    case.assert_agrees(step.loss, case.expected["loss"])
    case.assert_agrees(step.mean("kl/mean"), case.expected["loss"])
    case.assert_agrees(gradient_rows(step), case.gradients["logprobs"])
