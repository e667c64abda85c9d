"""Turns a spec class into a structural schema, as CustomResourceDefinitions want it.

Structural: every level has one `type`, no `$ref`, no `anyOf` (but the one that
`x-kubernetes-int-or-string` stands for), no null, and lists say how they are merged.
"""

from typing import Any

from pydantic import BaseModel

from openrlhf_core.spec.reading.rules import rules_of

Schema = dict[str, Any]

KEPT = (
    "type",
    "description",
    "enum",
    "default",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minItems",
    "maxItems",
    "maxProperties",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-int-or-string",
    "x-kubernetes-validations",
)
PRESERVE = "x-kubernetes-preserve-unknown-fields"
INT32 = (-(2**31), 2**31 - 1)


def structural_schema(spec_class: type[BaseModel]) -> Schema:
    """The structural schema of a spec class, with the CEL rules of every class in it."""
    schema = spec_class.model_json_schema(by_alias=True)
    classes = _classes(spec_class)
    return _rewritten(schema, schema.get("$defs", {}), classes)


def _rewritten(schema: Schema, definitions: Schema, classes: dict[str, type[BaseModel]]) -> Schema:
    schema = _unwrapped(schema, definitions)
    result = {key: schema[key] for key in KEPT if key in schema and schema[key] is not None}
    if "const" in schema:
        result["enum"] = [schema["const"]]
    if result.get("default") in ([], {}) and "properties" not in schema:
        del result["default"]  # Absent and empty mean the same; stored objects stay short.
    if result.get("x-kubernetes-int-or-string"):
        return _int_or_string(result)
    if result.get(PRESERVE):
        return result
    kind = result.setdefault("type", "object")
    if kind == "object":
        _add_fields(result, schema, definitions, classes)
    if kind == "array":
        result["items"] = _item(_rewritten(schema["items"], definitions, classes))
        result.setdefault("x-kubernetes-list-type", "atomic")
    if kind in ("integer", "number"):
        _with_exclusive_bounds(result)
    if kind == "integer":
        bounds = (result["minimum"], result["maximum"])
        is_small = INT32[0] <= bounds[0] and bounds[1] <= INT32[1]
        result["format"] = "int32" if is_small else "int64"
    return result


def _unwrapped(schema: Schema, definitions: Schema) -> Schema:
    """The schema itself: a reference followed, the null of an option dropped."""
    if "anyOf" in schema and not schema.get("x-kubernetes-int-or-string"):
        (inner,) = [option for option in schema["anyOf"] if option.get("type") != "null"]
        outer = {key: value for key, value in schema.items() if key != "anyOf"}
        return _unwrapped({**inner, **outer}, definitions)
    if "$ref" in schema:
        inner = definitions[schema["$ref"].rpartition("/")[2]]
        outer = {key: value for key, value in schema.items() if key != "$ref"}
        return _unwrapped({**inner, **outer}, definitions)
    return schema


def _add_fields(
    result: Schema, schema: Schema, definitions: Schema, classes: dict[str, type[BaseModel]]
) -> None:
    fields = schema.get("properties")
    if fields is None:
        # A pattern of the keys has no place in a structural schema; the models check it.
        (values,) = schema.get(
            "patternProperties", {"": schema.get("additionalProperties")}
        ).values()
        if isinstance(values, dict):
            result["additionalProperties"] = _item(_rewritten(values, definitions, classes))
        return
    if schema.get("required"):
        result["required"] = schema["required"]
    result["properties"] = {
        name: _rewritten(field, definitions, classes) for name, field in fields.items()
    }
    spec_class = classes.get(schema.get("title", ""))
    rules = [
        {"rule": rule.cel, "message": rule.claim}
        for rule in (rules_of(spec_class) if spec_class else [])
        if rule.cel
    ]
    if rules:
        result["x-kubernetes-validations"] = rules
    if "default" in result:
        result["default"] = _without_empty(result["default"])


def _without_empty(value: Any) -> Any:
    """A default less its nulls and empty lists and maps: absent means the same."""
    if not isinstance(value, dict):
        return value
    return {
        key: _without_empty(item) for key, item in value.items() if item not in (None, [], (), {})
    }


def _item(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key != "default"}


def _int_or_string(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key != "type"}


def _with_exclusive_bounds(schema: Schema) -> None:
    """OpenAPI 3.0 writes an exclusive bound as a bound and a flag."""
    for bound, flag in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if flag in schema:
            schema[bound] = schema[flag]
            schema[flag] = True


def _classes(spec_class: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """Every spec class that a class is made of, by name."""
    found = {spec_class.__name__: spec_class}
    waiting = [spec_class]
    while waiting:
        for field in waiting.pop().model_fields.values():
            for inner in _classes_in(field.annotation):
                if inner.__name__ not in found:
                    found[inner.__name__] = inner
                    waiting.append(inner)
    return found


def _classes_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for inner in getattr(annotation, "__args__", ()) for found in _classes_in(inner)]
