"""Kubernetes quantities: `80Gi`, `500m`, `2`, `129e6`. Read here, without a client library."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

QUANTITY_PATTERN = (
    r"^\+?([0-9]{1,18}(\.[0-9]{0,9})?|\.[0-9]{1,9})([numkMGTPE]|[KMGTPE]i|[eE][-+]?[0-9]{1,2})?$"
)
"""Kubernetes' grammar, less the negative numbers; with bounds on the number of digits."""
FIX = "write a number and a unit, as 80Gi or 500m"


def _one_error(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """The checked value; one ValueError for both halves of the union."""
    try:
        return check(value)
    except ValidationError as error:
        raise ValueError(f"{value!r} is no quantity; {FIX}") from error


Quantity = Annotated[
    Annotated[int, Field(ge=0, le=1 << 62)]
    | Annotated[str, Field(max_length=32, pattern=QUANTITY_PATTERN)],
    WrapValidator(_one_error),
    Field(json_schema_extra={"x-kubernetes-int-or-string": True, "pattern": QUANTITY_PATTERN}),
]
"""An amount as Kubernetes writes it; not negative."""

FACTORS = {"": Decimal(1), "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3")}
FACTORS |= {unit: Decimal(1000) ** (power + 1) for power, unit in enumerate("kMGTPE")}
FACTORS |= {f"{unit}i": Decimal(1024) ** (power + 1) for power, unit in enumerate("KMGTPE")}


def format_bytes(count: int) -> str:
    """A number of bytes for people: `79.3 GiB`, `12.0 MiB`."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def parse_quantity(text: str | float) -> Decimal:
    """The amount that a quantity says, in its base unit (bytes, cores). ValueError if it is none.

    parse_quantity("80Gi") == 85899345920, parse_quantity("500m") == Decimal("0.5")
    """
    written = str(text).strip()
    if not re.fullmatch(QUANTITY_PATTERN, written):
        raise ValueError(f"{written!r} is no quantity; {FIX}")
    unit = written.lstrip("+0123456789.")
    number = Decimal(written.removesuffix(unit))
    is_exponent = unit[:1] in ("e", "E") and len(unit) > 1 and unit != "Ei"
    return number.scaleb(int(unit[1:])) if is_exponent else number * FACTORS[unit]


def check_resources(fragment: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fragment, of which every request and limit is a quantity. ValueError names the first
    that is none."""
    for kind in ("requests", "limits"):
        amounts = fragment.get(kind) or {}
        if not isinstance(amounts, Mapping):
            raise ValueError(f"{kind} is {amounts!r}; write a map of resource names to quantities")
        for name, amount in amounts.items():
            is_number = isinstance(amount, int | float) and not isinstance(amount, bool)
            if not is_number and not isinstance(amount, str):
                raise ValueError(f"{kind}.{name} is {amount!r}; {FIX}")
            try:
                parse_quantity(amount)
            except ValueError as error:
                raise ValueError(f"{kind}.{name}: {error}") from error
    return fragment
