"""Kubernetes quantities: `80Gi`, `500m`, `2`. Read here, so that no client library is needed."""

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

QUANTITY_PATTERN = r"^[0-9]{1,18}(\.[0-9]{1,9})?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"


def _one_error(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """The checked value; one error for both halves of the union. ValueError with the mend."""
    try:
        return check(value)
    except ValidationError as error:
        raise ValueError(
            f"{value!r} is no quantity; write a number and a unit, as 80Gi or 500m"
        ) from error


Quantity = Annotated[
    Annotated[int, Field(ge=0, le=1 << 62)]
    | Annotated[str, Field(max_length=32, pattern=QUANTITY_PATTERN)],
    WrapValidator(_one_error),
    Field(json_schema_extra={"x-kubernetes-int-or-string": True, "pattern": QUANTITY_PATTERN}),
]
"""An amount as Kubernetes writes it; not negative."""

FACTORS = {"": Decimal(1), "m": Decimal("0.001")}
FACTORS |= {unit: Decimal(1000) ** (power + 1) for power, unit in enumerate("kMGTPE")}
FACTORS |= {f"{unit}i": Decimal(1024) ** (power + 1) for power, unit in enumerate("KMGTPE")}


def format_bytes(count: int) -> str:
    """A number of bytes for people: `79.3 GiB`, `12.0 MiB`."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def parse_quantity(text: str | int) -> Decimal:
    """The amount that a quantity says, in its base unit (bytes, cores). ValueError if it is none.

    parse_quantity("80Gi") == 85899345920, parse_quantity("500m") == Decimal("0.5")
    """
    written = str(text).strip()
    if not re.match(QUANTITY_PATTERN, written):
        raise ValueError(f"{written!r} is no quantity; write a number and a unit, as 80Gi or 500m")
    unit = written.lstrip("0123456789.")
    return Decimal(written.removesuffix(unit)) * FACTORS[unit]
