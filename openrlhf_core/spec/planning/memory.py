"""Bytes on each device, estimated from a model's shape: what `rlhf plan` prints before a run.

N parameters, R learner ranks, b bytes a number (2 in BFloat16, 4 in Float32). Weights, gradients
and optimizer states are those of ZeRO (arXiv:1910.02054, section 3), with float32 gradients where
the learner accumulates them so; activations follow arXiv:2205.05198, equation 1, for a gated MLP
and an attention kernel that stores no scores. Allocators and kernels add some percent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

BYTES = {"BFloat16": 2, "Float32": 4}
LOGIT_ELEMENTS = 1 << 23
"""Logits in memory at a time (`openrlhf_core.models.logprobs.CHUNK_ELEMENTS`), in float32."""
LOGIT_COPIES = 3
"""Logits, their exponentials and their gradients."""


@dataclass(frozen=True)
class ModelShape:
    """The numbers of a decoder's config.json."""

    hidden_size: int
    num_layers: int
    intermediate_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    vocab_size: int
    has_tied_embeddings: bool

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "ModelShape":
        """The shape in a config.json. ValueError names the field that is missing or wrong."""
        try:
            hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
            return cls(
                hidden_size=hidden,
                num_layers=int(config["num_hidden_layers"]),
                intermediate_size=int(config["intermediate_size"]),
                num_heads=heads,
                num_kv_heads=int(config.get("num_key_value_heads") or heads),
                head_dim=int(config.get("head_dim") or hidden // heads),
                vocab_size=int(config["vocab_size"]),
                has_tied_embeddings=bool(config.get("tie_word_embeddings", False)),
            )
        except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            raise ValueError(f"config.json describes no decoder: {error!r}") from error

    @property
    def attention_size(self) -> int:
        return self.num_heads * self.head_dim

    @property
    def kv_size(self) -> int:
        return self.num_kv_heads * self.head_dim

    @property
    def num_parameters(self) -> int:
        """Weights of projections, gated MLP, two norms a layer and embeddings, without biases."""
        attention = 2 * self.hidden_size * (self.attention_size + self.kv_size)
        mlp = 3 * self.hidden_size * self.intermediate_size
        embeddings = self.vocab_size * self.hidden_size * (1 if self.has_tied_embeddings else 2)
        layers = self.num_layers * (attention + mlp + 2 * self.hidden_size)
        return layers + embeddings + self.hidden_size

    @property
    def layer_elements_per_token(self) -> int:
        """Numbers that a layer stores for the backward pass of one token: inputs of norms and
        projections, q, k, v, the attention's output, and gate, up, activation and product of the
        MLP."""
        return (
            4 * self.hidden_size
            + 2 * self.attention_size
            + 2 * self.kv_size
            + 4 * self.intermediate_size
        )

    def kv_bytes_per_token(self, dtype: str) -> int:
        return 2 * self.num_layers * self.kv_size * BYTES[dtype]


@dataclass(frozen=True)
class LearnerLoad:
    """The settings that determine the memory of a learner rank."""

    num_ranks: int
    zero_stage: int
    dtype: str
    micro_batch_tokens: int
    has_checkpointing: bool


@dataclass(frozen=True)
class LearnerBytes:
    """Memory of one learner rank."""

    parameters: int
    gradients: int
    optimizer: int
    activations: int
    logits: int

    @property
    def at_rest(self) -> int:
        """Bytes while another role works and this one does not sleep."""
        return self.parameters + self.gradients + self.optimizer

    @property
    def peak(self) -> int:
        return self.at_rest + self.activations + self.logits


@dataclass(frozen=True)
class FrozenBytes:
    """Memory of one rank of a frozen model: a whole copy of its weights."""

    parameters: int

    @property
    def at_rest(self) -> int:
        return self.parameters

    @property
    def peak(self) -> int:
        return self.parameters


@dataclass(frozen=True)
class EngineBytes:
    """Memory of one device of an engine."""

    parameters: int
    kv_cache: int
    kv_cache_wanted: int
    """KV cache of one sequence of the greatest length. With less the engine cannot start."""

    @property
    def at_rest(self) -> int:
        return self.peak

    @property
    def peak(self) -> int:
        return self.parameters + self.kv_cache


RoleBytes = LearnerBytes | FrozenBytes | EngineBytes


def learner_bytes(shape: ModelShape, load: LearnerLoad) -> LearnerBytes:
    """Memory of one learner rank in its forward and backward pass."""
    count, size, tokens = shape.num_parameters, BYTES[load.dtype], load.micro_batch_tokens
    sums_in_float32 = load.dtype == "BFloat16" and load.zero_stage >= 2
    states_each = 8 if load.dtype == "Float32" else 12  # two moments, and a float32 copy
    return LearnerBytes(
        parameters=_share(count * size, load, from_stage=3),
        gradients=_share(count * (4 if sums_in_float32 else size), load, from_stage=2),
        optimizer=_share(count * states_each, load, from_stage=1),
        activations=size * tokens * _elements_per_token(shape, load),
        logits=LOGIT_COPIES * 4 * min(tokens * shape.vocab_size, max(LOGIT_ELEMENTS, tokens * 128)),
    )


def engine_bytes(
    shape: ModelShape, dtype: str, tensor_parallel_size: int, longest: int, kv_budget: int | None
) -> EngineBytes:
    """Memory of one device of an engine; without kv_budget the KV cache holds one sequence."""
    wanted = ceil(shape.kv_bytes_per_token(dtype) * longest / tensor_parallel_size)
    return EngineBytes(
        parameters=ceil(shape.num_parameters * BYTES[dtype] / tensor_parallel_size),
        kv_cache=wanted if kv_budget is None else max(kv_budget, 0),
        kv_cache_wanted=wanted,
    )


def frozen_bytes(shape: ModelShape, dtype: str) -> FrozenBytes:
    """Memory of one rank of a frozen model. Every rank holds the whole model."""
    return FrozenBytes(shape.num_parameters * BYTES[dtype])


def _share(total: int, load: LearnerLoad, from_stage: int) -> int:
    return ceil(total / load.num_ranks) if load.zero_stage >= from_stage else total


def _elements_per_token(shape: ModelShape, load: LearnerLoad) -> int:
    if load.has_checkpointing:  # the input of every layer, and one layer recomputed
        return shape.num_layers * shape.hidden_size + shape.layer_elements_per_token
    return shape.num_layers * shape.layer_elements_per_token
