"""`training.data`: datasets, their keys, templates and length limits."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from openrlhf_core.spec.kinds.base import (
    ListName,
    LongText,
    PositiveFloat,
    PositiveInt,
    ShortText,
    SpecModel,
)
from openrlhf_core.spec.kinds.rule import Rule, Violation, at
from openrlhf_core.spec.kinds.sources import DataSource


class DatasetSpec(SpecModel):
    """One dataset: a JSONL, JSON, CSV or Parquet file, a directory of them, or a hub dataset."""

    name: ListName = Field("default", description="Name of the dataset, unique in its list.")
    source: DataSource = Field(description="Location of the dataset, as a source URI.")
    subset: ShortText | None = Field(None, description="Configuration of a hub dataset.")
    split: ShortText = Field("train", description="Split of a dataset that has splits.")
    weight: PositiveFloat = Field(
        1.0,
        description="How often one epoch passes over this dataset: 2 takes every row twice, 0.5 "
        "takes a different half of the rows each epoch.",
    )
    max_samples: PositiveInt | None = Field(None, description="Use only the first so many rows.")


class DataKeysSpec(SpecModel):
    """Names of the columns."""

    prompt: ShortText = Field(
        "prompt", description="Column with the prompt: a string or a list of chat messages."
    )
    response: ShortText | None = Field(
        None,
        description="Column with the response to the prompt, for recipes that learn from given "
        "texts. Without it and `messages` the column `prompt` holds whole texts.",
    )
    messages: ShortText | None = Field(
        None, description="Column with a whole chat, in place of `prompt` and `response`."
    )
    chosen: ShortText = Field(
        "chosen", description="Column with the preferred response, for recipe DPO."
    )
    rejected: ShortText = Field(
        "rejected", description="Column with the other response, for recipe DPO."
    )
    label: ShortText | None = Field(
        None,
        description="Column that reward functions receive as `labels`. Without it they get ''.",
    )


class DataSpec(SpecModel):
    """The training data."""

    train: Annotated[tuple[DatasetSpec, ...], Field(min_length=1, max_length=32)] = Field(
        description="Training datasets, mixed by weight.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    keys: DataKeysSpec = Field(DataKeysSpec(), description="Names of the columns.")
    apply_chat_template: bool = Field(
        False, description="Render prompts with the model's chat template."
    )
    input_template: LongText | None = Field(
        None, description="Text around each prompt; `{}` stands for the prompt."
    )
    prompt_max_length: PositiveInt = Field(
        1024, description="Longer prompts, in tokens, are left out; their number is reported."
    )
    max_length: PositiveInt = Field(
        2048,
        description="Longest sample in tokens, for recipes that learn from given texts: longer "
        "ones are cut at their end; those that lose all that is trained on are left out, and "
        "counted.",
    )
    packing: bool = Field(
        False,
        description="Concatenate the samples of a micro-batch instead of padding them. Faster "
        "with FlashAttention 2.",
    )


def _one_prompt_form(data: DataSpec) -> Iterator[Violation]:
    if data.apply_chat_template and data.input_template is not None:
        yield Violation(
            at("inputTemplate"),
            "applyChatTemplate is true too",
            "keep one of applyChatTemplate and inputTemplate",
        )


def _chats_need_a_template(data: DataSpec) -> Iterator[Violation]:
    if data.keys.messages is not None and not data.apply_chat_template:
        yield Violation(
            at("keys.messages"),
            "is set, and chats become text only through a chat template",
            "set applyChatTemplate: true",
        )


def _template_has_a_place(data: DataSpec) -> Iterator[Violation]:
    if data.input_template is not None and "{}" not in data.input_template:
        yield Violation(
            at("inputTemplate"),
            "has no {} for the prompt",
            "write {} where the prompt goes",
        )


RULES: tuple[Rule, ...] = (
    Rule(
        on=DataSpec,
        claim="keys.messages needs applyChatTemplate",
        reads=("keys.messages", "applyChatTemplate"),
        check=_chats_need_a_template,
        cel="!has(self.keys.messages) || self.applyChatTemplate",
    ),
    Rule(
        on=DataSpec,
        claim="at most one of applyChatTemplate and inputTemplate",
        reads=("applyChatTemplate", "inputTemplate"),
        check=_one_prompt_form,
        cel="!(self.applyChatTemplate && has(self.inputTemplate))",
    ),
    Rule(
        on=DataSpec,
        claim="inputTemplate has {} for the prompt",
        reads=("inputTemplate",),
        check=_template_has_a_place,
        cel="!has(self.inputTemplate) || self.inputTemplate.contains('{}')",
    ),
)
