"""Walks over spec classes and their instances by camelCase field path."""

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from openrlhf_core.spec.kinds.base import SpecModel
from openrlhf_core.spec.kinds.rule import FieldPath


def field_names(spec_class: type[BaseModel]) -> list[str]:
    """The camelCase names of a class's fields."""
    return [info.alias or name for name, info in spec_class.model_fields.items()]


def spec_class_at(root: type[BaseModel], path: FieldPath) -> type[BaseModel] | None:
    """The spec class at a path, through lists and optional fields; None where there is none."""
    found: type[BaseModel] | None = root
    for part in path:
        if isinstance(part, int):
            continue
        if found is None:
            return None
        types = {info.alias or name: info.annotation for name, info in found.model_fields.items()}
        found = _spec_class_in(types.get(part))
    return found


def instances(model: SpecModel, path: FieldPath = ()) -> Iterator[tuple[FieldPath, SpecModel]]:
    """Every spec instance in a tree with its path, the root first."""
    yield path, model
    for name, info in type(model).model_fields.items():
        value = getattr(model, name)
        here = (*path, info.alias or name)
        if isinstance(value, SpecModel):
            yield from instances(value, here)
        elif isinstance(value, tuple):
            for index, item in enumerate(value):
                if isinstance(item, SpecModel):
                    yield from instances(item, (*here, index))


def _spec_class_in(annotation: Any) -> type[BaseModel] | None:
    """The spec class inside Annotated, Optional and tuple."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Annotated, Union, UnionType, tuple):
        found = (_spec_class_in(inner) for inner in get_args(annotation))
        return next((spec_class for spec_class in found if spec_class), None)
    return None
