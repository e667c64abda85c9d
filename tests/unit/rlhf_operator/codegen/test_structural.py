"""From spec classes to structural schemas."""

from typing import Annotated, Literal

from pydantic import Field

from openrlhf_core.spec.kinds.base import SpecModel
from openrlhf_core.spec.kinds.kubernetes import Fragment, FragmentList, Labels
from openrlhf_core.spec.kinds.model import ChatTemplateSpec
from openrlhf_core.spec.kinds.quantity import Quantity
from rlhf_operator.codegen.structural import structural_schema


class Leaf(SpecModel):
    """A leaf."""

    name: Annotated[str, Field(max_length=5)] = Field("a", description="Name.")
    weight: Annotated[float, Field(gt=0, le=2)] = Field(1.0, description="Weight.")


class Tree(SpecModel):
    """A tree."""

    count: Annotated[int, Field(ge=0, le=9)] = Field(description="Count.")
    large: Annotated[int, Field(ge=0, le=1 << 40)] = Field(1, description="Large.")
    mode: Literal["A", "B"] = Field("A", description="Mode.")
    only: Literal["A"] = Field("A", description="Only.")
    leaf: Leaf = Field(Leaf(), description="The leaf.")
    maybe: Leaf | None = Field(None, description="Perhaps a leaf.")
    leaves: Annotated[tuple[Leaf, ...], Field(max_length=3)] = Field((), description="Leaves.")
    labels: Labels = Field({}, description="Labels.")
    fragment: Fragment | None = Field(None, description="As written.")
    fragments: FragmentList = Field((), description="As written.")
    size: Quantity | None = Field(None, description="Size.")
    template: ChatTemplateSpec | None = Field(None, description="Template.")


SCHEMA = structural_schema(Tree)
FIELDS = SCHEMA["properties"]


def test_only_fields_without_a_default_are_required():
    assert SCHEMA["required"] == ["count"]


def test_integers_have_their_bounds_and_width():
    assert FIELDS["count"] == {
        "type": "integer",
        "description": "Count.",
        "minimum": 0,
        "maximum": 9,
        "format": "int32",
    }
    assert FIELDS["large"]["format"] == "int64"


def test_choices_are_enums():
    assert FIELDS["mode"] == {
        "type": "string",
        "description": "Mode.",
        "enum": ["A", "B"],
        "default": "A",
    }
    assert FIELDS["only"]["enum"] == ["A"]


def test_a_struct_is_written_out_with_its_own_description_and_default():
    leaf = FIELDS["leaf"]
    assert leaf["description"] == "The leaf."
    assert leaf["default"] == {"name": "a", "weight": 1.0}
    assert leaf["properties"]["weight"] == {
        "type": "number",
        "description": "Weight.",
        "default": 1.0,
        "maximum": 2,
        "minimum": 0,
        "exclusiveMinimum": True,
    }


def test_an_option_is_a_field_that_need_not_be_there():
    maybe = FIELDS["maybe"]
    assert maybe["type"] == "object"
    assert maybe["description"] == "Perhaps a leaf."
    assert "default" not in maybe and "nullable" not in maybe


def test_a_tuple_is_an_array_without_an_empty_default():
    leaves = FIELDS["leaves"]
    assert (leaves["type"], leaves["maxItems"]) == ("array", 3)
    assert leaves["x-kubernetes-list-type"] == "atomic"
    assert "default" not in leaves
    assert set(leaves["items"]["properties"]) == {"name", "weight"}


def test_a_map_bounds_its_size_and_values():
    labels = FIELDS["labels"]
    assert labels["maxProperties"] == 64
    assert labels["additionalProperties"]["maxLength"] == 63


def test_fragments_are_preserved_as_they_are():
    assert FIELDS["fragment"] == {
        "type": "object",
        "description": "As written.",
        "maxProperties": 64,
        "x-kubernetes-preserve-unknown-fields": True,
    }
    assert FIELDS["fragments"]["items"]["x-kubernetes-preserve-unknown-fields"] is True


def test_a_quantity_is_a_number_or_a_text():
    size = FIELDS["size"]
    assert size["x-kubernetes-int-or-string"] is True
    assert size["pattern"].startswith("^")
    assert "type" not in size and "anyOf" not in size


def test_rules_stand_where_their_class_stands():
    (rule,) = FIELDS["template"]["x-kubernetes-validations"]
    assert rule == {
        "rule": "has(self.text) != has(self.source)",
        "message": "exactly one of text and source",
    }
