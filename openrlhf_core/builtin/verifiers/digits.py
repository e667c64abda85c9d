"""`builtin://digits`: the share of a completion's characters that are digits."""

from collections.abc import Sequence

from openrlhf_core.builtin.completion_text import counted_characters


def digit_share(completion: str) -> float:
    """Digits / characters, an end token aside; any other special token counts as one character.

    Example: `12a4<eos>` scores 0.75, `12<pad>` 2/3, an empty completion 0.
    """
    characters = counted_characters(completion)
    digits = sum(character in "0123456789" for character in characters)
    return digits / len(characters) if characters else 0.0


def reward_func(
    queries: Sequence[str], prompts: Sequence[str], labels: Sequence[str]
) -> list[float]:
    """Scores each query without its prompt by `digit_share`."""
    pairs = zip(queries, prompts, strict=True)
    return [digit_share(query.removeprefix(prompt)) for query, prompt in pairs]
