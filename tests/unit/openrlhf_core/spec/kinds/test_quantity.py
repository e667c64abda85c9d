"""Kubernetes quantities."""

from decimal import Decimal
from typing import Any

import pytest

from openrlhf_core.spec.kinds.quantity import check_resources, parse_quantity


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
    ],
)
def test_a_quantity_is_read_as_kubernetes_reads_it(text, amount):
    assert parse_quantity(text) == amount


@pytest.mark.parametrize(
    "text", ["", "80GB", "16gi", "-1", "Gi", "1 Gi", "1e", "1e3Gi", "1e999", "0x10", "nan", "1\n2"]
)
def test_what_is_no_quantity_is_said(text):
    with pytest.raises(ValueError, match="is no quantity"):
        parse_quantity(text)


@pytest.mark.parametrize(
    ("fragment", "message"),
    [
        ({"limits": {"memory": "16GB"}}, "limits.memory: '16GB' is no quantity"),
        ({"requests": {"cpu": True}}, "requests.cpu is True"),
        ({"requests": {"cpu": ["1"]}}, "requests.cpu is "),
        ({"limits": "16Gi"}, "limits is '16Gi'; write a map"),
    ],
)
def test_a_resource_that_is_no_quantity_is_named(fragment, message):
    with pytest.raises(ValueError, match="^" + message.replace(".", r"\.")):
        check_resources(fragment)


def test_resources_that_are_quantities_stay_as_they_are_written():
    fragment: dict[str, Any] = {
        "limits": {"memory": "129e6", "cpu": 1.5},
        "requests": None,
        "claims": [],
    }
    assert check_resources(fragment) is fragment
