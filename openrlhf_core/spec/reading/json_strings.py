"""JSON in words that a YAML parser reads as the same text.

kubectl reads the JSON objects that a file begins with as JSON, and only what follows as YAML. In
quotes YAML folds U+0085 into a space, and it refuses U+007F and escaped surrogates: written as
YAML's own escapes, every string means what JSON means by it. `yaml_reader.py` calls this.
"""

import json
import re

SPACE = re.compile(r"[ \t\r\n]*")
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def escape_json_strings(text: str) -> str:
    """The text with the strings of its leading JSON objects escaped; no line moves."""
    end = _end_of_json(text)
    return STRING.sub(_escaped, text[:end]) + text[end:]


def _end_of_json(text: str) -> int:
    """Where the JSON objects end that a text begins with; 0 where it begins with none."""
    decoder, end = json.JSONDecoder(), 0
    while text.startswith("{", begin := _skip_space(text, end)):
        try:
            _, end = decoder.raw_decode(text, begin)
        except (ValueError, RecursionError):
            break
    return end


def _skip_space(text: str, begin: int) -> int:
    found = SPACE.match(text, begin)
    assert found is not None
    return found.end()


def _escaped(match: re.Match[str]) -> str:
    """One JSON string as a double-quoted YAML scalar; half a surrogate pair is U+FFFD, as in Go."""
    return '"' + "".join(_escape(character) for character in json.loads(match[0])) + '"'


def _escape(character: str) -> str:
    if "\ud800" <= character <= "\udfff":
        return "\ufffd"
    if character.isprintable() and character not in '"\\':
        return character
    return f"\\U{ord(character):08x}"
