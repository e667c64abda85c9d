"""Kubernetes quantities."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrlhf_core.spec.kinds.quantity import (
    QUANTITY_PATTERN,
    parse_quantity,
    wrong_quantities,
)
from openrlhf_core.spec.reading.yaml_reader import path_text


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("80Gi", 80 * 1024**3),
        ("1.5Gi", 1536 * 1024**2),
        ("500m", Decimal("0.5")),
        ("2", 2),
        (3, 3),
        ("1k", 1000),
        ("4E", 4 * 10**18),
        ("1Ki", 1024),
        ("129e6", 129_000_000),
        ("1.5E9", 1_500_000_000),
        ("1e-3", Decimal("0.001")),
        ("2Ei", 2 * 1024**6),
        ("250u", Decimal("0.00025")),
        ("5n", Decimal("5e-9")),
        ("+4", 4),
        (".5", Decimal("0.5")),
        ("1.", 1),
        (1.5, Decimal("1.5")),
        (0.1 + 0.2, Decimal("0.30000000000000004")),
        (1e20, 10**20),
    ],
)
def test_a_quantity_is_read_as_kubernetes_reads_it(text, amount):
    assert parse_quantity(text) == amount


@pytest.mark.parametrize(
    "text",
    [
        "",
        "80GB",
        "16gi",
        "-1",
        "Gi",
        "1 Gi",
        "1e",
        "1e3Gi",
        "1e999",
        "0x10",
        "nan",
        "1\n2",
        " 1",
        "1 ",
    ],
)
def test_what_is_no_quantity_is_said(text):
    with pytest.raises(ValueError, match="is not a quantity"):
        parse_quantity(text)


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("16GB", "write 16G or 16Gi"),
        ("16gib", "write 16Gi"),
        ("16gi", "write 16Gi"),
        ("16 Gi", "write 16Gi"),
        ("1.5K", "write 1.5k or 1.5Ki"),
        ("80 tb", "write 80T or 80Ti"),
        ("lots", "write a number and a unit, as 80Gi or 500m"),
        ("-1Gi", "write a number and a unit, as 80Gi or 500m"),
        (True, "write a number and a unit, as 80Gi or 500m"),
    ],
)
def test_the_fix_is_what_was_probably_meant(text, fix):
    with pytest.raises(ValueError, match=f"; {fix}$"):
        parse_quantity(text)


@given(st.from_regex(QUANTITY_PATTERN, fullmatch=True))
def test_every_text_of_the_pattern_is_an_amount(text):
    assert parse_quantity(text) >= 0


def found_in(fragment: Any) -> list[str]:
    return [f"{path_text(item.path)}: {item.message}" for item in wrong_quantities(fragment)]


def test_every_wrong_quantity_of_a_piece_of_a_pod_is_named():
    claim = {"spec": {"resources": {"requests": {"storage": "1GB"}}}}
    fragment = {
        "limits": {"memory": "16GB", "cpu": 2, "nvidia.com/gpu": "8"},
        "requests": {"cpu": True, "memory": ["1Gi"]},
        "volumes": [
            {"emptyDir": {"sizeLimit": "1 Gi"}},
            {"ephemeral": {"volumeClaimTemplate": claim}},
        ],
        "env": [{"valueFrom": {"resourceFieldRef": {"divisor": "1X"}}}],
    }
    assert found_in(fragment) == [
        "limits.memory: '16GB' is not a quantity",
        "requests.cpu: True is not a quantity",
        "requests.memory: ['1Gi'] is not a quantity",
        "volumes[0].emptyDir.sizeLimit: '1 Gi' is not a quantity",
        "volumes[1].ephemeral.volumeClaimTemplate.spec.resources.requests.storage: "
        "'1GB' is not a quantity",
        "env[0].valueFrom.resourceFieldRef.divisor: '1X' is not a quantity",
    ]


def test_limits_that_are_no_map_are_named():
    assert found_in({"limits": "16Gi"}) == ["limits: is '16Gi'"]


def test_quantities_in_every_way_of_writing_are_sound():
    amounts = {"memory": "129e6", "cpu": 1.5, "ephemeral-storage": "1.5Gi", "pods": None}
    assert found_in({"limits": amounts, "requests": None, "claims": []}) == []
