"""The subset of JSON Schema that `strict: true` allows, with OpenAI's errors.

The subset and its limits are those of OpenAI's guide on structured outputs. Messages give the place
as a Python tuple of keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minikin.constrain.schema.document import TYPES, json_path
from minikin.constrain.schema.patterns import looks_around
from minikin.constrain.schema.subject import Subject
from minikin.errors import InvalidRequest

MAX_PROPERTIES = 5_000
MAX_LEVELS = 10
MAX_TEXT = 120_000
"""Maximum characters of all names of properties and definitions, enum values and consts."""
MAX_ENUM_VALUES = 1_000
LONG_ENUM = 250
MAX_LONG_ENUM_TEXT = 15_000
"""Maximum characters of one enum of strings with more than LONG_ENUM values."""

_FORMATS = (
    "date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid",
)  # fmt: skip
_ANNOTATIONS = frozenset(("title", "description", "$schema", "$id", "$comment", "examples"))
_ALLOWED = _ANNOTATIONS | {
    "type", "enum", "const", "anyOf", "$ref", "$defs", "definitions",
    "properties", "required", "additionalProperties", "items", "minItems", "maxItems",
    "pattern", "format",
    "multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
}  # fmt: skip

Path = tuple[str, ...]


def check_strict(schema: dict[str, Any], subject: Subject) -> None:
    """Raise InvalidRequest for the first violation of the strict subset."""
    check_root(schema.get("type"), subject)
    if "anyOf" in schema:
        raise _fault(subject, (), "'anyOf' is not permitted at the root.")
    tally = _Tally(subject)
    for path, node, level in _nodes(schema, (), 1):
        if not isinstance(node, dict):
            raise _fault(subject, path, f"{node!r} is not of type 'object', 'boolean'.")
        _check_node(node, path, subject)
        tally.add(node, level)


def check_root(kind: Any, subject: Subject) -> None:
    """Raise InvalidRequest unless the type of a schema is "object"."""
    if kind != "object":
        raise subject.fault(
            f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{kind!s:.64}\"'."
        )


def _nodes(node: Any, path: Path, level: int) -> Iterator[tuple[Path, Any, int]]:
    """All subschemas in the order of the text. `level` counts objects and arrays."""
    yield path, node, level
    for key in ("properties", "$defs", "definitions"):
        deeper = level + 1 if key == "properties" else 1
        for name, child in (node.get(key) or {}).items():
            yield from _nodes(child, (*path, key, name), deeper)
    if "items" in node:
        yield from _nodes(node["items"], (*path, "items"), level + 1)
    for at, child in enumerate(node.get("anyOf") or ()):
        yield from _nodes(child, (*path, "anyOf", str(at)), level)


def _check_node(node: dict[str, Any], path: Path, subject: Subject) -> None:
    for key in node:
        if key not in _ALLOWED:
            raise _fault(subject, path, f"'{key[:64]}' is not permitted.")
    _check_shapes(node, path, subject)
    if "$ref" in node:
        if siblings := [key for key in node if key not in ("$ref", "$defs", "definitions")]:
            raise _fault(subject, path, f"$ref cannot have keywords {{{siblings[0]!r}}}.")
        return
    if not any(key in node for key in ("type", "anyOf", "enum", "const")):
        raise _fault(subject, path, "schema must have a 'type' key.")
    kinds = node.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    for kind in kinds:
        if kind not in TYPES:
            raise _fault(subject, path, f"{kind!r} is not valid under any of the given schemas.")
    if "object" in kinds:
        _check_object(node, path, subject)
    if "array" in kinds and "items" not in node:
        raise _fault(subject, path, "array schema missing items.")
    if isinstance(pattern := node.get("pattern"), str) and looks_around(pattern):
        raise subject.lookaround(json_path((*path, "pattern")))
    if "format" in node and node["format"] not in _FORMATS:
        raise _fault(subject, path, f"{node['format']!r:.64} is not a valid format.")


def _check_shapes(node: dict[str, Any], path: Path, subject: Subject) -> None:
    for key, kind, name in (
        ("properties", dict, "object"),
        ("$defs", dict, "object"),
        ("definitions", dict, "object"),
        ("required", list, "array"),
        ("anyOf", list, "array"),
        ("enum", list, "array"),
    ):
        if key in node and not isinstance(node[key], kind):
            raise _fault(subject, (*path, key), f"{node[key]!r:.64} is not of type '{name}'.")
    for key in ("anyOf", "enum"):
        if key in node and not node[key]:
            raise _fault(subject, (*path, key), "[] should be non-empty.")


def _check_object(node: dict[str, Any], path: Path, subject: Subject) -> None:
    if node.get("additionalProperties") is not False:
        raise _fault(
            subject, path, "'additionalProperties' is required to be supplied and to be false."
        )
    names = list(node.get("properties", {}))
    required = node.get("required", [])
    missing = [name for name in names if name not in required]
    if missing:
        raise _fault(
            subject,
            path,
            "'required' is required to be supplied and to be an array including every key in "
            f"properties. Missing '{missing[0][:64]}'.",
        )
    if extra := [name for name in required if name not in names]:
        raise _fault(subject, path, f"Extra required key '{str(extra[0])[:64]}' supplied.")


class _Tally:
    """Counts the values that the subset limits in the whole schema."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._properties = 0
        self._text = 0
        self._values = 0

    def add(self, node: dict[str, Any], level: int) -> None:
        """Count one subschema. Raises InvalidRequest above a limit."""
        if level > MAX_LEVELS:
            raise self._subject.fault(f"{level} levels of nesting exceeds limit of {MAX_LEVELS}.")
        names = [*node.get("properties", {}), *node.get("$defs", {}), *node.get("definitions", {})]
        values = [str(value) for value in node.get("enum", ())]
        consts = [str(node["const"])] if "const" in node else []
        self._properties += len(node.get("properties", {}))
        self._values += len(values)
        self._text += sum(map(len, (*names, *values, *consts)))
        self._limit(self._properties, MAX_PROPERTIES, "object properties")
        self._limit(self._values, MAX_ENUM_VALUES, "enum values")
        self._limit(self._text, MAX_TEXT, "characters of names, enum values and const values")
        if len(values) > LONG_ENUM:
            text = sum(map(len, values))
            self._limit(text, MAX_LONG_ENUM_TEXT, f"characters in an enum of over {LONG_ENUM}")

    def _limit(self, found: int, most: int, what: str) -> None:
        if found > most:
            raise self._subject.fault(
                f"Expected at most {most} {what} in total within a schema when using Structured "
                "Outputs."
            )


def _fault(subject: Subject, path: Path, reason: str) -> InvalidRequest:
    return subject.fault(f"In context={path!r}, {reason}")
