"""`builtin://sums`: 1 when the last whole number of a completion is the label, else 0."""

import re
from collections.abc import Sequence


def is_right(completion: str, label: str) -> bool:
    """Whether the last whole number in the completion is the label's.

    Example: `2 + 3 = 5.` is right for label `5`; `The sum is 5 or 6` is not.
    """
    numbers = re.findall(r"-?\d+", completion.replace(",", ""))
    return bool(numbers) and int(numbers[-1][-18:]) == int(label)


def reward_func(
    queries: Sequence[str], prompts: Sequence[str], labels: Sequence[str]
) -> list[float]:
    """Scores each query without its prompt: 1 for a right sum, else 0."""
    rows = zip(queries, prompts, labels, strict=True)
    return [
        float(is_right(query.removeprefix(prompt), str(label))) for query, prompt, label in rows
    ]
