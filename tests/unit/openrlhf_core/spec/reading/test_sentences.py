"""What pydantic finds, said in sentences."""

from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError

from openrlhf_core.spec.kinds.base import SpecModel
from openrlhf_core.spec.kinds.quantity import Quantity
from openrlhf_core.spec.kinds.sources import ModelSource
from openrlhf_core.spec.reading.sentences import describe, violation
from openrlhf_core.spec.reading.yaml_reader import path_text


class Inner(SpecModel):
    group_size: int = 1


class Thing(SpecModel):
    whole: Annotated[int, Field(ge=1, le=9)] = 1
    number: Annotated[float, Field(gt=0, lt=2)] = 1.0
    text: Annotated[str, Field(min_length=1, max_length=3)] = "a"
    word: Annotated[str, Field(pattern="^[a-z]+$")] = "a"
    flag: bool = True
    choice: Literal["Auto", "Never"] = "Auto"
    only: Literal["RL"] = "RL"
    items: Annotated[tuple[int, ...], Field(min_length=1, max_length=2)] = (1,)
    inner: Inner = Inner()
    many: tuple[Inner, ...] = ()
    free: dict[str, str] = Field({})
    size: Quantity = 1
    source: ModelSource = "a"


def sentences(data) -> list[str]:
    try:
        Thing.from_manifest(data)
    except ValidationError as error:
        found = [violation(item, Thing) for item in error.errors()]
        return [f"{path_text(v.path)}: {v.message}; {v.fix}" for v in found if v is not None]
    return []


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"whole": "5"}, 'whole: is the text "5", where a whole number belongs; remove the quotes'),
        ({"whole": "x"}, 'whole: is "x", where a whole number belongs; write a whole number'),
        ({"whole": 1.5}, "whole: is 1.5, where a whole number belongs; write a whole number"),
        ({"whole": True}, "whole: is true, where a whole number belongs; write a whole number"),
        ({"whole": []}, "whole: is a list, where a whole number belongs; write a whole number"),
        ({"whole": 0}, "whole: is 0; take a number of at least 1"),
        ({"whole": 10}, "whole: is 10; take a number of at most 9"),
        ({"number": 0}, "number: is 0; take a number of more than 0"),
        ({"number": 2}, "number: is 2; take a number of less than 2"),
        ({"number": "1"}, 'number: is the text "1", where a number belongs; remove the quotes'),
        ({"text": 5}, "text: is 5, where a text belongs; put it in quotes"),
        ({"text": {"a": 1}}, "text: is a map, where a text belongs; write a text"),
        ({"text": ""}, "text: is empty; write something"),
        ({"text": "abcd"}, "text: has 4 characters; take at most 3"),
        ({"word": "A"}, 'word: is "A"; write what matches ^[a-z]+$'),
        ({"flag": "true"}, 'flag: is "true", where true or false belongs; remove the quotes'),
        ({"flag": "on"}, 'flag: is "on", where true or false belongs; write true or false'),
        ({"flag": 1}, "flag: is 1, where true or false belongs; write true or false"),
        ({"choice": "auto"}, 'choice: is "auto"; did you mean Auto?'),
        ({"choice": "Nevr"}, 'choice: is "Nevr"; did you mean Never?'),
        ({"choice": 5}, "choice: is 5; use one of Auto, Never"),
        ({"only": "xyz"}, 'only: is "xyz"; use RL'),
        ({"items": 5}, "items: is 5, where a list belongs; write a list"),
        ({"items": []}, "items: has 0 entries; take at least 1"),
        ({"items": [1, 2, 3]}, "items: has 3 entries; take at most 2"),
        ({"inner": 5}, "inner: is 5, where a map belongs; write a map"),
        (
            {"inner": {"groupsize": 1}},
            "inner.groupsize: is not a field here; did you mean groupSize?",
        ),
        (
            {"inner": {"group_size": 1}},
            "inner.group_size: is not a field here; did you mean groupSize?",
        ),
        (
            {"many": [{}, {"zzz": 1}]},
            "many[1].zzz: is not a field here; remove it; the fields are groupSize",
        ),
        ({"free": {"a b": 1}}, "free[a b]: is 1, where a text belongs; put it in quotes"),
        (
            {"size": "5 GB"},
            "size: '5 GB' is not a quantity; write 5G or 5Gi",
        ),
        (
            {"size": -1},
            "size: -1 is not a quantity; write a number and a unit, as 80Gi or 500m",
        ),
    ],
)
def test_an_error_is_one_sentence_with_a_fix(data, sentence):
    assert sentences(data) == [sentence]


def test_wrong_entries_do_not_make_their_list_too_short_as_well():
    assert sentences({"items": ["x"]}) == [
        'items[0]: is "x", where a whole number belongs; write a whole number'
    ]


def test_a_source_says_its_own_sentence():
    (sentence,) = sentences({"source": "s3://a"})
    assert sentence.startswith("source: s3:// sources are not supported yet; use hf://")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({}, "a map"),
        ([1], "a list"),
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        ("a", '"a"'),
        ("5", 'the text "5"'),
        ("é", '"é"'),
        ("a\u2028b", '"a\\u2028b"'),
        ("x" * 80, '"' + "x" * 56 + "..."),
    ],
)
def test_a_value_is_described_on_one_short_line(value, text):
    assert describe(value) == text
