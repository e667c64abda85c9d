"""`builtin://copy`: how much of a completion repeats the label."""

from collections.abc import Sequence

from openrlhf_core.builtin.completion_text import counted_characters


def copied_share(completion: str, label: str) -> float:
    """Share of the characters that equal the one-character label, an end token aside.

    Example: `7a77<eos>` with label `7` scores 0.75.
    """
    characters = counted_characters(completion)
    return characters.count(label) / len(characters) if characters else 0.0


def reward_func(
    queries: Sequence[str], prompts: Sequence[str], labels: Sequence[str]
) -> list[float]:
    """Scores each query without its prompt by `copied_share`."""
    rows = zip(queries, prompts, labels, strict=True)
    return [copied_share(query.removeprefix(prompt), label) for query, prompt, label in rows]
