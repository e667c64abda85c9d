"""Losses of preference pairs against a reference: DPO, its conservative variant, IPO."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from openrlhf_core.spec.kinds.dpo import PreferenceLoss


@dataclass(frozen=True, eq=False)
class PreferenceLosses:
    """Loss of each pair and the implicit rewards of its responses, which have no gradient."""

    losses: Float[Tensor, "pairs"]
    chosen_rewards: Float[Tensor, "pairs"]
    rejected_rewards: Float[Tensor, "pairs"]


def preference_losses(
    chosen: Float[Tensor, "pairs"],
    rejected: Float[Tensor, "pairs"],
    ref_chosen: Float[Tensor, "pairs"],
    ref_rejected: Float[Tensor, "pairs"],
    *,
    kind: PreferenceLoss,
    beta: float,
    label_smoothing: float,
) -> PreferenceLosses:
    """Returns the loss of each pair from log-probs of whole responses, summed over their tokens.

    With x = (chosen - rejected) - (ref_chosen - ref_rejected) and e the label smoothing:
    Sigmoid: -(1 - e) log sigmoid(beta x) - e log sigmoid(-beta x) (DPO, arXiv:2305.18290,
    equation 7; e > 0: cDPO). IPO: (x - 1 / (2 beta))^2 (arXiv:2310.12036, equation 17).
    The rewards are beta (policy - reference).
    """
    chosen_ratios, rejected_ratios = chosen - ref_chosen, rejected - ref_rejected
    logits = chosen_ratios - rejected_ratios
    if kind == "IPO":
        losses = (logits - 1 / (2 * beta)) ** 2
    else:
        smoothed = label_smoothing * logsigmoid(-beta * logits)
        losses = -(1 - label_smoothing) * logsigmoid(beta * logits) - smoothed
    return PreferenceLosses(losses, beta * chosen_ratios.detach(), beta * rejected_ratios.detach())
