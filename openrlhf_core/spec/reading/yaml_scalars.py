"""What an unquoted YAML scalar means to kubectl: YAML 1.1 words and numbers as Go reads them.

Where PyYAML differs: `5e-7` and `1e6` are numbers, `y` and `n` are booleans, `12:30` and dates are
texts, `0o17` is octal as `017` is. A number without a fraction is an integer, `5.0` and `1e6` too:
kubectl sends them to the API server so.
"""

import math
import re

Scalar = str | int | float | bool | None

TRUE_WORDS = frozenset(["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"])
FALSE_WORDS = frozenset(
    ["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"]
)
NULL_WORDS = frozenset(["", "~", "null", "Null", "NULL"])
NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
INTEGER = re.compile(
    r"(?P<sign>[-+]?)(?:0[xX](?P<hex>[0-9a-fA-F]+)|0[bB](?P<bin>[01]+)|0[oO]?(?P<oct>[0-7]+)"
    r"|(?P<dec>0|[1-9][0-9]*))"
)
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
BASES = {"hex": 16, "bin": 2, "oct": 8, "dec": 10}
MAX_DIGITS = 400
"""Longer ones are strings: a double cannot hold them, and converting them takes time."""


def resolve_plain(text: str) -> Scalar:
    """The value of a scalar without quotes and tag. ValueError for NaN and infinities."""
    if text in TRUE_WORDS:
        return True
    if text in FALSE_WORDS:
        return False
    if text in NULL_WORDS:
        return None
    if NOT_FINITE.fullmatch(text):
        raise ValueError(f"{text} is no number that JSON can carry")
    if text[0] in "+-.0123456789" and len(text) <= MAX_DIGITS:
        return _number(text)
    return text


def resolve_tagged(tag: str, text: str) -> Scalar:
    """The value of a scalar with an explicit tag, `!!int "5"`. ValueError if it has none."""
    if tag.endswith(":str"):
        return text
    value = resolve_plain(text)
    kinds: dict[str, tuple[type, ...]] = {
        "int": (int,),
        "float": (int, float),
        "bool": (bool,),
        "null": (type(None),),
    }
    kind = tag.rpartition(":")[2]
    if kind not in kinds or not tag.startswith("tag:yaml.org,2002:"):
        raise ValueError(f"the tag {tag} is not known here")
    if not isinstance(value, kinds[kind]) or (kind != "bool" and isinstance(value, bool)):
        raise ValueError(f"{text!r} is no {kind}")
    return value


def _number(text: str) -> Scalar:
    digits = text.replace("_", "")
    match = INTEGER.fullmatch(digits)
    if match:
        base = next(name for name in BASES if match[name] is not None)
        value = int(match[base], BASES[base])
        return -value if match["sign"] == "-" else value
    if not FLOAT.fullmatch(digits):
        return text
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{text} is larger than any number that JSON can carry")
    return int(number) if number.is_integer() else number
