"""`training.rollout`: the generation engines."""

from typing import Annotated, Literal

from pydantic import Field

from openrlhf_core.spec.kinds.base import PositiveInt, ShortText, SpecModel


class SamplingSpec(SpecModel):
    """How a token is drawn."""

    temperature: Annotated[float, Field(gt=0, le=10)] = Field(
        1.0, description="Divisor of the logits, in the engine and in the learner."
    )
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0,
        description="Draw from the smallest set of tokens with this much probability. Below 1 the "
        "engine's log-probs differ from the learner's.",
    )
    top_k: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        0, description="Draw from this many likeliest tokens; 0 is all."
    )
    max_tokens: PositiveInt = Field(1024, description="Longest completion, in tokens.")
    min_tokens: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        0,
        description="Shortest completion, in tokens, the end token counted. Above 1 the engine's "
        "log-probs differ from the learner's, which does not know of it.",
    )
    stop: Annotated[tuple[ShortText, ...], Field(max_length=16)] = Field(
        (),
        description="Texts that end a completion.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )


class RolloutSpec(SpecModel):
    """The generation engines (vLLM)."""

    tensor_parallel_size: Annotated[int, Field(ge=1, le=1024)] = Field(
        1, description="Devices an engine's weights are split over."
    )
    sampling: SamplingSpec = Field(SamplingSpec(), description="How a token is drawn.")
    memory_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.5, description="Share of a CUDA device's memory for weights and KV cache of an engine."
    )
    kv_cache_bytes: Annotated[int, Field(ge=1 << 20, le=1 << 50)] = Field(
        1 << 30, description="KV cache of an engine on CPU."
    )
    prefix_caching: bool = Field(True, description="Share the KV cache of common prefixes.")
    enforce_eager: bool = Field(False, description="Compile no graphs. Slower, starts sooner.")
    dtype: Literal["BFloat16", "Float32"] | None = Field(
        None, description="Number format of the engine. Default: the learner's."
    )
