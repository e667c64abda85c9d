"""`training.sft`: which tokens supervised fine-tuning learns."""

from typing import Literal

from pydantic import Field

from openrlhf_core.spec.kinds.base import SpecModel

LossOn = Literal["AssistantTurns", "LastAssistantTurn", "AllTokens"]


class SFTSpec(SpecModel):
    """Supervised fine-tuning."""

    loss_on: LossOn = Field(
        "AssistantTurns",
        description="Tokens that are trained on. AssistantTurns: every turn of the assistant with "
        "its end token, or the response; LastAssistantTurn: only the last one; AllTokens: the "
        "prompt too.",
    )
