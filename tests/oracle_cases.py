"""Reads the expected values in tests/oracle and compares with them; its README describes a case."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ORACLE = Path(__file__).with_name("oracle")


@dataclass(frozen=True)
class Case:
    """One case of a topic."""

    name: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, Any]
    expected: Mapping[str, Any]
    gradients: Mapping[str, Any]
    rtol: float
    atol: float

    def assert_agrees(self, got: Any, expected: Any) -> None:
        """Compares numbers, arrays or rows of unequal lengths within the case's tolerance."""
        got, expected = flat(got), flat(expected)
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=self.rtol, atol=self.atol, err_msg=self.name)


def cases(topic: str, left_out: Mapping[str, str] | None = None) -> list[Any]:
    """Returns pytest parameters of every case of a topic but those left out, by name and reason."""
    found = [make_case(raw) for raw in json.loads((ORACLE / f"{topic}.json").read_text())["cases"]]
    unknown = set(left_out or {}) - {case.name for case in found}
    assert not unknown, f"{topic} has no cases {sorted(unknown)}"
    return [pytest.param(case, id=case.name) for case in found if case.name not in (left_out or {})]


def chosen(topic: str, names: Collection[str]) -> list[Any]:
    """Returns pytest parameters of the cases of a topic with these names."""
    parameters = [one for one in cases(topic) if one.id in names]
    assert len(parameters) == len(names)
    return parameters


def make_case(raw: Mapping[str, Any]) -> Case:
    return Case(
        name=raw["name"],
        settings=raw["settings"],
        inputs=numbers(raw["inputs"]),
        expected=numbers(raw["expected"]),
        gradients=numbers(raw.get("gradients", {})),
        rtol=raw["tolerance"]["rtol"],
        atol=raw["tolerance"]["atol"],
    )


def numbers(value: Any) -> Any:
    """Returns the value with "inf", "-inf" and "nan" as numbers, at any depth."""
    if isinstance(value, dict):
        return {key: numbers(one) for key, one in value.items()}
    if isinstance(value, list):
        return [numbers(one) for one in value]
    return float(value) if value in {"inf", "-inf", "nan"} else value


def flat(value: Any) -> np.ndarray:
    """Returns a number, an array or rows as one float64 array."""
    if isinstance(value, list | tuple):
        return np.concatenate([flat(one) for one in value]) if value else np.zeros(0)
    return np.asarray(value, np.float64).reshape(-1)
