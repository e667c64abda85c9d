"""Source URIs of models, datasets, functions and templates: their grammar, and what each is for.

hf://org/name@revision      Hugging Face hub             model, data
pvc://claim/path            a volume of the namespace    model, data, function, template
configmap://name/key        a ConfigMap's key            data, function, template
python://package.module     an installed module          function
file:///absolute/path       file of the machine          model, data, function, template
builtin://NAME              ships with us                model, data, function
a bare path                 local runs only              model, data, function, template
s3://, gs://, oci://        known, not supported yet
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo

Use = Literal["model", "data", "function", "template"]
Scheme = Literal["hf", "pvc", "configmap", "python", "file", "builtin", "path"]

NOT_YET = ("s3", "gs", "oci")

# Written in what Python's re and the API server's RE2 have in common: CEL rules are made of them.
_DNS = r"[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?"
_WORD = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_SEGMENT = r"\.?[^./\x00-\x1f][^/\x00-\x1f]*"
_PATH = rf"{_SEGMENT}(?:/{_SEGMENT})*/?"
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"

PATTERNS: dict[Scheme, str] = {
    "hf": rf"hf://({_WORD}(?:/{_WORD})?)(?:@([A-Za-z0-9._/-]+))?",
    "pvc": rf"pvc://({_DNS})(?:/({_PATH})?)?",
    "configmap": rf"configmap://({_DNS})/([-._A-Za-z0-9]+)",
    "python": rf"python://({_NAME}(?:\.{_NAME})*)",
    "file": rf"file://(/{_PATH})",
    "builtin": r"builtin://([a-z0-9][-a-z0-9._]*)",
}
FORMS: dict[Scheme, str] = {
    "hf": "hf://org/name@revision",
    "pvc": "pvc://claim/path",
    "configmap": "configmap://name/key",
    "python": "python://package.module",
    "file": "file:///absolute/path",
    "builtin": "builtin://NAME",
    "path": "a path",
}
ALLOWED: dict[Use, tuple[Scheme, ...]] = {
    "model": ("hf", "pvc", "file", "builtin", "path"),
    "data": ("hf", "pvc", "configmap", "file", "builtin", "path"),
    "function": ("pvc", "configmap", "python", "file", "builtin", "path"),
    "template": ("pvc", "configmap", "file", "path"),
}


@dataclass(frozen=True)
class Source:
    """A source URI, taken apart. Made by `parse_source`.

    | scheme    | name            | path                | revision     |
    | hf        | org/name        | ""                  | or None      |
    | pvc       | claim           | path in the claim   |              |
    | configmap | its name        | key                 |              |
    | python    | package.module  | ""                  |              |
    | file      | ""              | absolute path       |              |
    | builtin   | NAME            | ""                  |              |
    | path      | ""              | the path as written |              |
    """

    scheme: Scheme
    name: str = ""
    path: str = ""
    revision: str | None = None


def parse_source(text: str, use: Use | None = None) -> Source:
    """The parts of a source URI. ValueError says how to fix one that is wrong for this use."""
    head, separator, _ = text.partition("://")
    scheme = _known_scheme(text, head) if separator else "path"
    if use is not None and scheme not in ALLOWED[use]:
        raise ValueError(f"{FORMS[scheme]!r} is not a source of a {use}; {_choices(use)}")
    if scheme == "path":
        return Source("path", path=_checked_path(text))
    match = re.fullmatch(PATTERNS[scheme], text)
    if match is None:
        raise ValueError(f"{text!r} is not of the form {FORMS[scheme]}; write it so")
    return _source(scheme, match)


def source_pattern(use: Use) -> str:
    """A regular expression that matches exactly the sources that `parse_source` takes for a use."""
    forms = [PATTERNS[scheme] for scheme in ALLOWED[use] if scheme != "path"]
    plain = [form.replace("(?:", "(") for form in forms]
    return "^(" + "|".join(plain) + ")$"


def source_rule(use: Use) -> dict[str, str]:
    """The same as a rule of the API server (CEL over the text)."""
    return {
        "rule": f"self.contains('://') ? self.matches(r'{source_pattern(use)}') "
        r": self.matches(r'^[^\x00-\x1f]*[^\x00-\x20][^\x00-\x1f]*$')",
        "message": _choices(use),
    }


def _checked(use: Use) -> Callable[[str], str]:
    def check(text: str) -> str:
        parse_source(text, use)
        return text

    return check


def _field(use: Use) -> FieldInfo:
    rules: JsonDict = {"x-kubernetes-validations": [dict(source_rule(use))]}
    info: FieldInfo = Field(min_length=1, max_length=1024, json_schema_extra=rules)
    return info


def _source(scheme: Scheme, match: re.Match[str]) -> Source:
    first, second = (*match.groups(), None)[:2]
    if scheme == "hf":
        return Source("hf", name=first or "", revision=second)
    if scheme == "file":
        return Source("file", path=first or "")
    return Source(scheme, name=first or "", path=(second or "").rstrip("/"))


def _known_scheme(text: str, head: str) -> Scheme:
    if head in NOT_YET:
        raise ValueError(
            f"{head}:// sources are not supported yet; use hf://, or mount the files and write pvc://"
        )
    for scheme in PATTERNS:
        if scheme == head:
            return scheme
    known = ", ".join(f"{scheme}://" for scheme in PATTERNS)
    raise ValueError(f"{text!r} begins with no known scheme; use one of {known}, or a path")


def _checked_path(text: str) -> str:
    if not text.strip(" ") or re.search(r"[\x00-\x1f]", text):
        raise ValueError(f"{text!r} is not a path; write a source URI or a path")
    return text


def _choices(use: Use) -> str:
    return "use " + ", ".join(FORMS[scheme] for scheme in ALLOWED[use])


ModelSource = Annotated[str, _field("model"), AfterValidator(_checked("model"))]
DataSource = Annotated[str, _field("data"), AfterValidator(_checked("data"))]
FunctionSource = Annotated[str, _field("function"), AfterValidator(_checked("function"))]
TemplateSource = Annotated[str, _field("template"), AfterValidator(_checked("template"))]
