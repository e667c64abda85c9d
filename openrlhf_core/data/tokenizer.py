"""The policy's tokenizer: loaded, given a chat template and a padding token, checked."""

from collections.abc import Sequence
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from openrlhf_core.data.encoding import embedding_rows
from openrlhf_core.samples import Rollout
from openrlhf_core.sources import Locator
from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.kinds.model import ChatTemplateSpec

VOCABULARY_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tekken.json",
    "qwen.tiktoken",
)


def load_tokenizer(
    directory: Path, chat_template: str | None = None, trust_remote_code: bool = False
) -> PreTrainedTokenizerBase:
    """The tokenizer of a model directory; its padding token is one that the model knows.

    ConfigurationError when it is missing, cannot be read, has no end token, or has a larger
    vocabulary than the model.
    """
    if not any((directory / name).is_file() for name in VOCABULARY_FILES):
        raise ConfigurationError(
            f"{directory} holds no tokenizer; copy tokenizer.json and tokenizer_config.json of "
            "the model into it"
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(directory, trust_remote_code=trust_remote_code)
    except Exception as error:  # the tokenizers library raises bare Exception for a broken file
        reason = str(error).strip().partition("\n")[0]
        raise ConfigurationError(
            f"{directory}: the tokenizer cannot be loaded: {reason}; copy the model's files anew"
        ) from error
    if tokenizer.eos_token_id is None:
        raise ConfigurationError(
            f"{directory}: the tokenizer has no end token; set eos_token in tokenizer_config.json"
        )
    model_tokens = embedding_rows(directory)
    if model_tokens is not None and tokenizer.vocab_size > model_tokens:
        raise ConfigurationError(
            f"{directory}: the tokenizer knows {tokenizer.vocab_size} tokens, the model "
            f"{model_tokens}; they are not of one model"
        )
    pad_id = tokenizer.pad_token_id
    if pad_id is None or (model_tokens is not None and pad_id >= model_tokens):
        tokenizer.pad_token = tokenizer.eos_token
    if chat_template is not None:
        tokenizer.chat_template = chat_template
    return tokenizer


def read_chat_template(template: ChatTemplateSpec | None, locator: Locator) -> str | None:
    """The text of a chat template; None: the tokenizer's own stands."""
    if template is None or template.source is None:
        return None if template is None else template.text
    path = locator.locate(template.source, "template")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"model.policy.chatTemplate.source {template.source}: {path} cannot be read as UTF-8 "
            f"text: {error}"
        ) from error


def query_texts(tokenizer: PreTrainedTokenizerBase, rollouts: Sequence[Rollout]) -> list[str]:
    """Prompt and completion as text, special tokens written out: `queries` of reward functions.

    Each begins with its prompt's text. A completion is decoded behind the prompt's last token, as
    some tokenizers drop the first blank of a text.
    """
    last = [rollout.prompt.token_ids[-1:].tolist() for rollout in rollouts]
    both = [
        [*end, *rollout.completion_ids.tolist()]
        for end, rollout in zip(last, rollouts, strict=True)
    ]
    befores = tokenizer.batch_decode(last, clean_up_tokenization_spaces=False)
    joined = tokenizer.batch_decode(both, clean_up_tokenization_spaces=False)
    return [
        rollout.prompt.text + _after(before, text, rollout, tokenizer)
        for rollout, before, text in zip(rollouts, befores, joined, strict=True)
    ]


def _after(before: str, text: str, rollout: Rollout, tokenizer: PreTrainedTokenizerBase) -> str:
    if text.startswith(before):
        return text[len(before) :]
    # The prompt's last token is a part of a character that the completion ends.
    alone = tokenizer.decode(rollout.completion_ids.tolist(), clean_up_tokenization_spaces=False)
    return str(alone)
