"""`training.dpo`: the loss of preference pairs."""

from typing import Annotated, Literal

from pydantic import Field

from openrlhf_core.spec.kinds.base import NonNegativeFloat, PositiveFloat, SpecModel

PreferenceLoss = Literal["Sigmoid", "IPO"]


class DPOSpec(SpecModel):
    """Direct preference optimization."""

    loss: PreferenceLoss = Field(
        "Sigmoid",
        description="Sigmoid: DPO (arXiv:2305.18290, equation 7). IPO: squared distance of the "
        "log-ratio difference from 1 / (2 beta) (arXiv:2310.12036, equation 17).",
    )
    beta: PositiveFloat = Field(
        0.1, description="How strongly the policy is held to the reference; larger holds more."
    )
    label_smoothing: Annotated[float, Field(ge=0, le=0.5)] = Field(
        0.0, description="Share of pairs that are taken to be labelled the wrong way (cDPO)."
    )
    nll_coefficient: NonNegativeFloat = Field(
        0.0,
        description="Factor of the chosen response's mean negative log-prob, added to the loss.",
    )
