"""The base of all spec models: camelCase in YAML, frozen, unknown fields forbidden."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class SpecModel(BaseModel):
    """A piece of a manifest. Read it with `from_manifest`; build it in code by field name."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        frozen=True,
        extra="forbid",
        strict=True,
        use_attribute_docstrings=False,
        allow_inf_nan=False,
    )

    @classmethod
    def from_manifest(cls, data: Mapping[str, Any]) -> Self:
        """The model in plain data with camelCase names. A null is an absent field.

        Raises pydantic.ValidationError. People's files go through
        `openrlhf_core.spec.reading.validate`, which says the same in sentences.
        """
        text = json.dumps(without_nulls(data))
        return cls.model_validate_json(text, by_alias=True, by_name=False)

    def to_manifest(self) -> dict[str, Any]:
        """Plain data with camelCase names, as a manifest holds it; absent fields are left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def without_nulls(value: Any) -> Any:
    """The same data, less the fields that are null: the API server reads them as absent."""
    if isinstance(value, Mapping):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [without_nulls(item) for item in value]
    return value


ShortText = Annotated[str, Field(max_length=253)]
"""A name, key or revision."""

LongText = Annotated[str, Field(max_length=8192)]
"""A template or a URL."""

ListName = Annotated[str, Field(max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
"""The `name` key of an entry of a named list, a DNS label."""

PositiveInt = Annotated[int, Field(ge=1, le=2_147_483_647)]
NonNegativeInt = Annotated[int, Field(ge=0, le=2_147_483_647)]
Fraction = Annotated[float, Field(ge=0, le=1)]
NonNegativeFloat = Annotated[float, Field(ge=0, le=1e9)]
PositiveFloat = Annotated[float, Field(gt=0, le=1e9)]
