"""What a rollout engine reads in its model directory before vLLM does, and what it checks there."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open
from transformers import AutoConfig, AutoTokenizer, GenerationConfig, PretrainedConfig

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
    shapes: Mapping[str, tuple[int, ...]]
    """Shape of every weight that training must renew, by its name in the checkpoint."""

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
        """Raises ConfigurationError unless `weights` renews every weight of the checkpoint."""
        sent = {weight.name: weight.shape for weight in weights}
        if missing := [name for name in self.shapes if name not in sent]:
            raise ConfigurationError(
                f"the engine loads {missing[0]} from {self.directory} and the learner does not "
                f"send it ({len(missing)} such weights): the two read this model differently, so "
                "it cannot be trained here; use a model in the layout that transformers saves"
            )
        for name, shape in self.shapes.items():
            if sent[name] != shape:
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
    limit = getattr(text, "max_position_embeddings", None)
    if limit is not None and max_sequence_length > limit:
        raise ConfigurationError(
            f"data.promptMaxLength and rollout.sampling.maxTokens add up to {max_sequence_length} "
            f"tokens and the model in {directory} was made for {limit}; lower one of them"
        )
    head_size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    has_tokenizer = any((directory / name).exists() for name in _TOKENIZER_FILES)
    return RolloutModel(
        directory=directory,
        max_sequence_length=max_sequence_length,
        vocabulary_size=text.vocab_size,
        head_size=head_size,
        end_token_ids=_end_token_ids(directory, config, has_tokenizer, trust_remote_code),
        has_tokenizer=has_tokenizer,
        shapes=_trained_shapes(directory, tied=bool(text.tie_word_embeddings)),
    )


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


def _trained_shapes(directory: Path, tied: bool) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for file in _weight_files(directory):
        with safe_open(file, framework="pt") as weights:
            for name in weights.keys():  # noqa: SIM118 - not a dict
                shapes[name] = tuple(weights.get_slice(name).get_shape())
    return {
        name: shape
        for name, shape in shapes.items()
        if not (tied and name == "lm_head.weight") and not name.endswith("rotary_emb.inv_freq")
    }


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
