"""`training.rollout`: the generation engines."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from openrlhf_core.spec.kinds.base import PositiveInt, ShortText, SpecModel
from openrlhf_core.spec.kinds.formats import DType
from openrlhf_core.spec.kinds.rule import Rule, Violation, at


class SamplingSpec(SpecModel):
    """How a token is drawn."""

    temperature: Annotated[float, Field(gt=0, le=10)] = Field(
        1.0, description="Divisor of the logits, in the engine and in the learner."
    )
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0,
        description="Draw from the smallest set of tokens with this total probability. Below 1 the "
        "engine's log-probs differ from the learner's.",
    )
    top_k: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        0, description="Draw from this many most likely tokens; 0 is all."
    )
    max_tokens: PositiveInt = Field(1024, description="Longest completion, in tokens.")
    min_tokens: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        0,
        description="Shortest completion, in tokens, including the end token. Above 1 the engine's "
        "log-probs differ from the learner's, which does not apply it.",
    )
    stop: Annotated[tuple[ShortText, ...], Field(max_length=16)] = Field(
        (),
        description="Texts that end a completion.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )


class RolloutSpec(SpecModel):
    """The generation engines (vLLM)."""

    tensor_parallel_size: Annotated[int, Field(ge=1, le=1024)] = Field(
        1, description="Devices that the weights of an engine are split over."
    )
    sampling: SamplingSpec = Field(SamplingSpec(), description="How a token is drawn.")
    memory_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.5, description="Share of a CUDA device's memory for weights and KV cache of an engine."
    )
    kv_cache_bytes: Annotated[int, Field(ge=1 << 20, le=1 << 50)] = Field(
        1 << 30, description="KV cache of an engine on CPU."
    )
    prefix_caching: bool = Field(True, description="Share the KV cache of common prefixes.")
    enforce_eager: bool = Field(
        False, description="Compile no graphs: starts sooner, generates more slowly."
    )
    dtype: DType | None = Field(
        None, description="Number format of the engine. Default: the learner's."
    )


def _shortest_below_longest(sampling: SamplingSpec) -> Iterator[Violation]:
    if sampling.min_tokens > sampling.max_tokens:
        yield Violation(
            at("minTokens"),
            f"is {sampling.min_tokens}, more than maxTokens ({sampling.max_tokens})",
            "lower it, or raise maxTokens",
        )


def _stop_texts_say_something(sampling: SamplingSpec) -> Iterator[Violation]:
    for index, text in enumerate(sampling.stop):
        if not text:
            yield Violation(("stop", index), "is empty and would end every completion", "remove it")


RULES: tuple[Rule, ...] = (
    Rule(
        on=SamplingSpec,
        claim="minTokens is at most maxTokens",
        reads=("minTokens", "maxTokens"),
        check=_shortest_below_longest,
        cel="self.minTokens <= self.maxTokens",
    ),
    Rule(
        on=SamplingSpec,
        claim="no stop text is empty",
        reads=("stop",),
        check=_stop_texts_say_something,
        cel="!has(self.stop) || self.stop.all(text, text != '')",
    ),
)
