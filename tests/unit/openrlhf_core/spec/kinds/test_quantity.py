"""Kubernetes quantities."""

from decimal import Decimal

import pytest

from openrlhf_core.spec.kinds.quantity import parse_quantity


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
    ],
)
def test_a_quantity_is_read_as_kubernetes_reads_it(text, amount):
    assert parse_quantity(text) == amount


@pytest.mark.parametrize("text", ["", "80GB", "-1", "Gi", "1 Gi", "1e3", "0x10", "nan"])
def test_what_is_no_quantity_is_said(text):
    with pytest.raises(ValueError, match="is no quantity"):
        parse_quantity(text)
