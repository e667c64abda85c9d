"""Rewrites the strings of leading JSON objects so that a YAML parser reads them as JSON does.

kubectl reads the JSON objects at the beginning of a file as JSON and only the rest as YAML. A YAML
parser turns U+0085 in quotes into a space and refuses U+007F and escaped surrogates. Written with
YAML's own escapes, these characters keep their meaning. `yaml_reader.py` calls this.
"""

import json
import re

SPACE = re.compile(r"[ \t\r\n]*")
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def escape_json_strings(text: str) -> str:
    """The text with the strings of its leading JSON objects escaped; line numbers stay."""
    end = _end_of_json(text)
    return STRING.sub(_escaped, text[:end]) + text[end:]


def _end_of_json(text: str) -> int:
    """The end of the JSON objects at the beginning of a text; 0 where there are none."""
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
    """One JSON string as a double-quoted YAML scalar; a lone surrogate becomes U+FFFD, as in Go."""
    return '"' + "".join(_escape(character) for character in json.loads(match[0])) + '"'


def _escape(character: str) -> str:
    if "\ud800" <= character <= "\udfff":
        return "\ufffd"
    if character.isprintable() and character not in '"\\':
        return character
    return f"\\U{ord(character):08x}"
