"""Asks a person before something is sent or deleted."""

import sys
from collections.abc import Callable

import typer

from openrlhf_core.spec.exit_codes import ConfigurationError

Consent = Callable[[str], bool]
"""Whether the question is answered with yes."""


def given(question: str) -> bool:
    """Yes, without asking: what --yes means."""
    return True


def asked(question: str) -> bool:
    """What the person at the terminal answers.

    Raises ConfigurationError when there is no terminal to ask at.
    """
    if not sys.stdin.isatty():
        raise ConfigurationError(f"{question} There is no terminal to ask at: pass --yes")
    return typer.confirm(question)
