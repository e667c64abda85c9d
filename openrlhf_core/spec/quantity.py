"""Kubernetes quantities: `80Gi`, `500m`, `2`. Read here, so that no client library is needed."""

import re
from decimal import Decimal
from typing import Annotated

from pydantic import Field

QUANTITY_PATTERN = r"^[0-9]{1,18}(\.[0-9]{1,9})?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"

Quantity = Annotated[
    Annotated[int, Field(ge=0, le=1 << 62)]
    | Annotated[str, Field(max_length=32, pattern=QUANTITY_PATTERN)],
    Field(json_schema_extra={"x-kubernetes-int-or-string": True}),
]
"""An amount as Kubernetes writes it; not negative."""

FACTORS = {"": Decimal(1), "m": Decimal("0.001")}
FACTORS |= {unit: Decimal(1000) ** (power + 1) for power, unit in enumerate("kMGTPE")}
FACTORS |= {f"{unit}i": Decimal(1024) ** (power + 1) for power, unit in enumerate("KMGTPE")}


def parse_quantity(text: str | int) -> Decimal:
    """The amount that a quantity says, in its base unit (bytes, cores). ValueError if it is none.

    parse_quantity("80Gi") == 85899345920, parse_quantity("500m") == Decimal("0.5")
    """
    written = str(text).strip()
    if not re.match(QUANTITY_PATTERN, written):
        raise ValueError(f"{written!r} is no quantity; write a number and a unit, as 80Gi or 500m")
    unit = written.lstrip("0123456789.")
    return Decimal(written.removesuffix(unit)) * FACTORS[unit]
