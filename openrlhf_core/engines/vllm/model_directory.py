"""What a rollout engine reads in its model directory before vLLM does, and what it checks there."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoTokenizer,
    GenerationConfig,
    PretrainedConfig,
)

from openrlhf_core.engines.protocols import GenerationRequest, WeightInfo
from openrlhf_core.spec.exit_codes import ConfigurationError

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")


@dataclass(frozen=True)
class RolloutModel:
    """The facts of a model directory that requests and weights are held against."""

    directory: Path
    max_sequence_length: int
    """Longest prompt and completion together, in tokens."""
    vocabulary_size: int
    head_size: int
    end_token_ids: tuple[int, ...]
    """Tokens that end a completion: the tokenizer's and those of the generation config."""
    has_tokenizer: bool
    extended_length: int | None
    """Tokens that YaRN extends the model to, when config.json's own length is shorter."""
    shapes: Mapping[str, tuple[int, ...]]
    """Shape of every weight in the files, by name."""
    unused: frozenset[str]
    """Names of weights in the files that a learner need not have."""

    def check_requests(self, requests: Sequence[GenerationRequest]) -> None:
        """Raises ConfigurationError for a request that the engine cannot complete."""
        for request in requests:
            if not len(request.prompt_ids):
                raise ConfigurationError("an empty prompt has nothing to continue; leave it out")
            length = len(request.prompt_ids) + request.max_tokens
            if length > self.max_sequence_length:
                raise ConfigurationError(
                    f"a prompt of {len(request.prompt_ids)} tokens and rollout.sampling.maxTokens "
                    f"{request.max_tokens} make {length}, and the engine holds sequences of "
                    f"{self.max_sequence_length}; lower data.promptMaxLength or maxTokens"
                )
            if (highest := int(request.prompt_ids.max())) >= self.vocabulary_size:
                raise ConfigurationError(
                    f"a prompt holds token {highest}, and the model in {self.directory} knows "
                    f"tokens below {self.vocabulary_size}; take the tokenizer of this model"
                )

    def check_weights(self, weights: Sequence[WeightInfo]) -> None:
        """Raises ConfigurationError unless `weights` renews every weight of the checkpoint.

        Both have the names of the files: what a learner sends is translated to them.
        """
        sent = {weight.name: weight.shape for weight in weights}
        if missing := [n for n in self.shapes if n not in sent and n not in self.unused]:
            raise ConfigurationError(
                f"the engine loads {missing[0]} from {self.directory} and the learner does not "
                f"send it ({len(missing)} such weights): the two read this model differently, so "
                "it cannot be trained here; use a model in the layout that transformers saves"
            )
        for name, shape in self.shapes.items():
            if sent.get(name, shape) != shape:
                raise ConfigurationError(
                    f"weight {name} has shape {shape} in {self.directory} and {sent[name]} in the "
                    "learner; use a model in the layout that transformers saves"
                )


def read_rollout_model(
    directory: Path, max_sequence_length: int, trust_remote_code: bool = False
) -> RolloutModel:
    """Reads config, tokenizer and weight names; ConfigurationError says what is wrong with them."""
    config = _read_config(directory, trust_remote_code)
    text = config.get_text_config()
    limit = longest_sequence(text)
    if limit is not None and max_sequence_length > limit:
        raise ConfigurationError(
            f"data.promptMaxLength and rollout.sampling.maxTokens add up to {max_sequence_length} "
            f"tokens and the model in {directory} was made for {limit}; lower one of them"
        )
    shapes = _read_shapes(directory)
    head_size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    has_tokenizer = any((directory / name).exists() for name in _TOKENIZER_FILES)
    return RolloutModel(
        directory=directory,
        max_sequence_length=max_sequence_length,
        vocabulary_size=text.vocab_size,
        head_size=head_size,
        end_token_ids=_end_token_ids(directory, config, has_tokenizer, trust_remote_code),
        has_tokenizer=has_tokenizer,
        extended_length=yarn_length(text),
        shapes=shapes,
        unused=_unused_names(config, shapes),
    )


def longest_sequence(config: PretrainedConfig) -> int | None:
    """Returns the tokens of the longest sequence that the model can take; None: no limit is known.

    Rotary embeddings stretch the length in config.json, which states it before linear and dynamic
    scaling, and before or after YaRN.
    """
    written = getattr(config, "max_position_embeddings", None)
    if written is None:
        return None
    factors = [
        each.get("factor") or 1.0
        for each in rope_parameters(config)
        if each.get("rope_type") in ("linear", "dynamic")
    ]
    return max(int(written * max(factors, default=1.0)), yarn_length(config) or 0)


def yarn_length(config: PretrainedConfig) -> int | None:
    """Returns the length that YaRN stretches to, if config.json states a shorter one."""
    lengths = [
        int(each["factor"] * each["original_max_position_embeddings"])
        for each in rope_parameters(config)
        if each.get("rope_type") == "yarn" and each.get("factor")
    ]
    written = getattr(config, "max_position_embeddings", None)
    longest = max(lengths, default=0)
    return longest if written is not None and longest > written else None


def rope_parameters(config: PretrainedConfig) -> list[Mapping[str, Any]]:
    """Returns the parameters of the rotary embedding, of each kind of layer where they differ.

    None for Gemma 3, whose config.json states the length after scaling.
    """
    found = getattr(config, "rope_parameters", None) or {}
    if "gemma3" in config.model_type:
        return []
    nested = [each for each in found.values() if isinstance(each, dict)]
    parameters: list[Mapping[str, Any]] = [*nested] or [found]
    return parameters


def _read_config(directory: Path, trust_remote_code: bool) -> PretrainedConfig:
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(
            directory, local_files_only=True, trust_remote_code=trust_remote_code
        )
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{directory} holds no model that transformers can read: {error}"
        ) from error
    return config


def _end_token_ids(
    directory: Path, config: PretrainedConfig, has_tokenizer: bool, trust_remote_code: bool
) -> tuple[int, ...]:
    """The tokens that vLLM would stop at: the tokenizer's end, and the generation config's."""
    if (directory / "generation_config.json").exists():
        ends = GenerationConfig.from_pretrained(directory, local_files_only=True).eos_token_id
    else:
        ends = config.get_text_config().eos_token_id
    ids = set(ends if isinstance(ends, list) else () if ends is None else (ends,))
    if has_tokenizer:
        ids |= _tokenizer_end(directory, trust_remote_code)
    return tuple(sorted(ids))


def _tokenizer_end(directory: Path, trust_remote_code: bool) -> set[int]:
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            directory, local_files_only=True, trust_remote_code=trust_remote_code
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{directory} holds no tokenizer that transformers can read: {error!r}"
        ) from error
    return set() if tokenizer.eos_token_id is None else {tokenizer.eos_token_id}


def _read_shapes(directory: Path) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for file in _weight_files(directory):
        with safe_open(file, framework="pt") as weights:
            for name in weights.keys():  # noqa: SIM118 - not a dict
                shapes[name] = tuple(weights.get_slice(name).get_shape())
    return shapes


def _unused_names(config: PretrainedConfig, names: Iterable[str]) -> frozenset[str]:
    """Returns the names that transformers may find in files and not load.

    These are tensors of old formats, as the attention masks of GPT-2, and a tied output layer.
    """
    model_class = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    patterns = getattr(model_class, "_keys_to_ignore_on_load_unexpected", None) or ()
    old = re.compile("|".join([r"rotary_emb\.inv_freq$", r"(^|\.)position_ids$", *patterns]))
    is_tied = bool(config.get_text_config().tie_word_embeddings)
    return frozenset(
        name for name in names if old.search(name) or (is_tied and name == "lm_head.weight")
    )


def _weight_files(directory: Path) -> list[Path]:
    index = directory / "model.safetensors.index.json"
    if index.exists():
        names = set(json.loads(index.read_text())["weight_map"].values())
    else:
        names = {"model.safetensors"}
    files = [directory / name for name in sorted(names)]
    if absent := [file for file in files if not file.exists()]:
        raise ConfigurationError(
            f"{absent[0]} is missing: a model's weights are read from model.safetensors, or the "
            "files that model.safetensors.index.json names; save it with transformers"
        )
    return files
