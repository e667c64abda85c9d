"""`training.model`: which model fills which role."""

from collections.abc import Iterator

from pydantic import Field

from openrlhf_core.spec.kinds.base import LongText, SpecModel
from openrlhf_core.spec.kinds.formats import Attention
from openrlhf_core.spec.kinds.rule import Rule, Violation
from openrlhf_core.spec.kinds.sources import ModelSource, TemplateSource


class ChatTemplateSpec(SpecModel):
    """A Jinja chat template in place of the tokenizer's own: exactly one of `text` and `source`."""

    text: LongText | None = Field(None, description="The template itself.")
    source: TemplateSource | None = Field(None, description="Location of a file with the template.")


class ModelRoleSpec(SpecModel):
    """A model that fills a role."""

    source: ModelSource = Field(
        description="Location of the model, a directory in Hugging Face layout, as a source URI."
    )
    attention: Attention = Field(
        "Auto",
        description="Attention kernel of the learner. Auto takes FlashAttention 2 on CUDA when it "
        "is installed, else PyTorch's scaled dot product attention.",
    )
    trust_remote_code: bool = Field(
        False, description="Run Python code that comes with the model. Only for code you have read."
    )


class PolicySpec(ModelRoleSpec):
    """The model that is trained."""

    chat_template: ChatTemplateSpec | None = Field(
        None, description="Chat template to use in place of the tokenizer's own."
    )


class ReferenceSpec(SpecModel):
    """The frozen model that the KL divergence is measured against."""

    source: ModelSource | None = Field(
        None, description="Location of the model. Default: the policy's source."
    )


class ModelsSpec(SpecModel):
    """One entry for each role."""

    policy: PolicySpec = Field(description="The model that is trained.")
    reference: ReferenceSpec | None = Field(
        None, description="The frozen reference model; loaded only when rl.kl.coefficient is not 0."
    )


def _one_template(template: ChatTemplateSpec) -> Iterator[Violation]:
    if (template.text is None) == (template.source is None):
        yield Violation((), "needs exactly one of text and source", "set one of them")


RULES: tuple[Rule, ...] = (
    Rule(
        on=ChatTemplateSpec,
        claim="exactly one of text and source",
        reads=("text", "source"),
        check=_one_template,
        cel="has(self.text) != has(self.source)",
    ),
)
