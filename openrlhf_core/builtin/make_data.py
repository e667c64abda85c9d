"""Writes the datasets of `builtin://`: `python -m openrlhf_core.builtin.make_data [DIRECTORY]`.

A development tool. The results are committed; a test makes them again and compares.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

from openrlhf_core.builtin import catalogue

Row = dict[str, str]
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def digits_rows() -> list[Row]:
    """512 prompts such as `kfw: `; `builtin://digits` wants digits after any of them."""
    random = Random("digits")
    return [{"prompt": "".join(random.choices(LETTERS, k=3)) + ": "} for _ in range(512)]


def copy_rows() -> list[Row]:
    """500 prompts such as `kf7>` with label `7`; `builtin://copy` wants the digit repeated."""
    random = Random("copy")
    labels = [str(index % 10) for index in range(500)]
    return [
        {"prompt": "".join(random.choices(LETTERS, k=2)) + label + ">", "label": label}
        for label in labels
    ]


def pairs_rows() -> list[Row]:
    """500 prompts such as `kf7>`; the digit is preferred to another one."""
    random = Random("pairs")
    rows = []
    for index in range(500):
        digit = str(index % 10)
        other = random.choice([d for d in "0123456789" if d != digit])
        prompt = "".join(random.choices(LETTERS, k=2)) + digit + ">"
        rows.append({"prompt": prompt, "chosen": digit, "rejected": other})
    return rows


def sums_rows() -> list[Row]:
    """Every sum of two numbers from 1 to 30 as a question in words, in a shuffled order."""
    pairs = [(left, right) for left in range(1, 31) for right in range(1, 31)]
    Random("sums").shuffle(pairs)
    return [
        {
            "prompt": f"What is {left} + {right}? Answer with the number only.",
            "label": str(left + right),
        }
        for left, right in pairs
    ]


DATASETS: dict[str, Callable[[], list[Row]]] = {
    "digits": digits_rows,
    "copy": copy_rows,
    "pairs": pairs_rows,
    "sums": sums_rows,
}


def write_data(directory: Path) -> None:
    """Writes one JSONL file a dataset."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, rows in DATASETS.items():
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows()]
        (directory / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    write_data(Path(sys.argv[1] if len(sys.argv) > 1 else Path(catalogue.__file__).parent / "data"))
