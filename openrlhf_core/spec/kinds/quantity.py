"""Kubernetes quantities: `80Gi`, `500m`, `2`, `129e6`. Read here, without a client library."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic.alias_generators import to_snake

from openrlhf_core.spec.kinds.rule import FieldPath, Rule, Violation

QUANTITY_PATTERN = (
    r"^\+?([0-9]{1,20}(\.[0-9]{0,20})?|\.[0-9]{1,20})([numkMGTPE]|[KMGTPE]i|[eE][-+]?[0-9]{1,2})?$"
)
"""Kubernetes' grammar, less the negative numbers; with bounds on the number of digits."""

_LIKE_A_QUANTITY = re.compile(r"\+?([0-9.]+)\s*([kmgtpe])(i?)b?", re.IGNORECASE)


def _one_error(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """The checked value; one ValueError for both halves of the union."""
    try:
        return check(value)
    except ValidationError as error:
        raise ValueError(f"{value!r} is not a quantity; {_fix(value)}") from error


Quantity = Annotated[
    Annotated[int, Field(ge=0, le=1 << 62)] | Annotated[str, Field(pattern=QUANTITY_PATTERN)],
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
    written = str(text)
    if not _is_quantity(text):
        raise ValueError(f"{written!r} is not a quantity; {_fix(text)}")
    unit = written.lstrip("+0123456789.")
    number = Decimal(written.removesuffix(unit))
    is_exponent = unit[:1] in ("e", "E") and len(unit) > 1 and unit != "Ei"
    return number.scaleb(int(unit[1:])) if is_exponent else number * FACTORS[unit]


def wrong_quantities(fragment: Any, path: FieldPath = ()) -> Iterator[Violation]:
    """What is not a quantity in a piece of a pod: requests, limits, sizes of volumes, divisors."""
    if isinstance(fragment, Mapping):
        for key, value in fragment.items():
            here = (*path, key)
            if key in ("requests", "limits"):
                yield from _wrong_amounts(value, here)
            elif key in ("sizeLimit", "divisor"):
                yield from _wrong_amount(value, here)
            else:
                yield from wrong_quantities(value, here)
    elif isinstance(fragment, list | tuple):
        for index, value in enumerate(fragment):
            yield from wrong_quantities(value, (*path, index))


def quantity_rule(spec_class: type, *fields: str) -> Rule:
    """The rule that fields of a class, which hold pieces of a pod, hold sound quantities."""

    def check(instance: Any) -> Iterator[Violation]:
        for field in fields:
            yield from wrong_quantities(getattr(instance, to_snake(field)), (field,))

    claim = f"the quantities in {' and '.join(fields)} are such"
    return Rule(on=spec_class, claim=claim, reads=fields, check=check)


def _wrong_amounts(amounts: Any, path: FieldPath) -> Iterator[Violation]:
    if isinstance(amounts, Mapping):
        for name, amount in amounts.items():
            yield from _wrong_amount(amount, (*path, name))
    elif amounts is not None:
        yield Violation(path, f"is {amounts!r}", "write a map of resource names to quantities")


def _wrong_amount(amount: Any, path: FieldPath) -> Iterator[Violation]:
    if amount is not None and not _is_quantity(amount):
        yield Violation(path, f"{amount!r} is not a quantity", _fix(amount))


def _is_quantity(value: Any) -> bool:
    """Whether Kubernetes reads a JSON value as a quantity."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return (is_number or isinstance(value, str)) and bool(
        re.fullmatch(QUANTITY_PATTERN, str(value))
    )


def _fix(value: Any) -> str:
    """How to write what was probably meant."""
    if isinstance(value, float):
        return "put it in quotes"
    meant = _LIKE_A_QUANTITY.fullmatch(str(value).strip())
    if meant is None:
        return "write a number and a unit, as 80Gi or 500m"
    number, unit, is_binary = meant[1], meant[2].upper(), meant[3]
    binary = f"{number}{unit}i"
    return f"write {binary}" if is_binary else f"write {number}{unit.replace('K', 'k')} or {binary}"
