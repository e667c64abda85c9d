"""Which names `builtin://NAME` may take, and where each lies."""

from pathlib import Path
from typing import Literal

Use = Literal["model", "data", "function"]

_ROOT = Path(__file__).parent
_FOLDERS: dict[Use, tuple[str, str]] = {
    "model": ("models", ""),
    "data": ("data", ".jsonl"),
    "function": ("verifiers", ".py"),
}


def builtin_names(use: Use) -> list[str]:
    """Names that `builtin://NAME` may take for a model, a dataset or a reward function."""
    folder, suffix = _FOLDERS[use]
    found = [path for path in (_ROOT / folder).iterdir() if not path.name.startswith(("_", "."))]
    return sorted(path.name.removesuffix(suffix) for path in found if path.name.endswith(suffix))


def builtin_path(name: str, use: Use) -> Path:
    """Returns the path of what `builtin://<name>` means for this use.

    Raises KeyError for a name that is not there; `builtin_names` lists those that are.
    """
    if name not in builtin_names(use):
        raise KeyError(name)
    folder, suffix = _FOLDERS[use]
    return _ROOT / folder / f"{name}{suffix}"


def builtin_module(name: str) -> str:
    """Returns the module of the reward function `builtin://<name>`; raises KeyError likewise."""
    return f"openrlhf_core.builtin.verifiers.{builtin_path(name, 'function').stem}"
