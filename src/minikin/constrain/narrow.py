"""Narrows a JSON Schema to what a small model can finish and the grammar library can follow.

Every value that the narrowed schema allows is allowed by the schema as sent, never the reverse:
numbers have a bounded count of digits, formats become regular expressions, values of any type have
a bounded depth, and objects no properties but those described. A keyword that says nothing about
values is left out; one that the library doesn't know it refuses by name (`check.py`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

from minikin.constrain.formats import FORMATS
from minikin.constrain.subject import Subject

MOST = 10**15
"""The largest number that has no bound of its own: every whole number up to it is a double."""
STEP = 1e-6
"""A number without `multipleOf` has at most six digits after the point."""
MAX_MULTIPLE = 100_000
"""Larger divisors take the library seconds and hundreds of megabytes."""
MAX_PROPERTIES = 5_000
MAX_ENUM_VALUES = 1_000
MAX_ENUM_TEXT = 120_000
ANY_DEPTH = 3
"""How deep a value of any type may nest."""

Schema = dict[str, Any]
Path = tuple[str, ...]

_ANY = "minikin-any-"
_TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
_KEYWORDS_OF = {
    "object": (
        "properties", "required", "additionalProperties", "patternProperties", "minProperties",
        "maxProperties", "propertyNames", "dependentRequired", "unevaluatedProperties",
    ),
    "array": (
        "items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems",
        "contains", "unevaluatedItems",
    ),
    "string": ("pattern", "format", "minLength", "maxLength"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}  # fmt: skip
_COMBINING = ("$ref", "enum", "const", "anyOf", "oneOf", "allOf")
_KNOWN = {
    "type", "not", "if", "then", "else", "$defs", "definitions", "$id", "$anchor", "$schema",
    "dependentSchemas", "dependencies", "minContains", "maxContains", "$dynamicRef",
    "$recursiveRef", *_COMBINING, *(key for keys in _KEYWORDS_OF.values() for key in keys),
}  # fmt: skip
"""Every keyword that says something about values, implemented or not."""
_NAMED = ("properties", "patternProperties", "$defs", "definitions")
_LISTED = ("anyOf", "oneOf", "allOf", "prefixItems")
_COUNTS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
_SHAPES = {
    **dict.fromkeys((*_NAMED, "dependentRequired"), ("an object", dict)),
    **dict.fromkeys((*_LISTED, "required", "enum"), ("an array", list)),
    **dict.fromkeys((*_COUNTS, *_KEYWORDS_OF["number"]), ("a number", int | float)),
    **dict.fromkeys(("pattern", "format", "$ref", "$id", "$anchor", "$schema"), ("a string", str)),
    "additionalProperties": ("a schema", dict | bool),
    "items": ("a schema", dict | bool | list),
    "additionalItems": ("a schema", dict | bool),
    "type": ("a string or array", str | list),
    "uniqueItems": ("a boolean", bool),
}


def narrow(schema: Schema, subject: Subject) -> Schema:
    """The narrowed copy of `schema`.

    Raises InvalidRequest for what is no valid schema, or one too large to follow.
    """
    return _Narrowing(schema, subject).result()


def any_object() -> Schema:
    """The schema of any object, with values nested at most ANY_DEPTH deep."""
    values = {"$ref": f"#/$defs/{_ANY}{ANY_DEPTH}"}
    return {"type": "object", "additionalProperties": values, "$defs": _any_values()}


class _Narrowing:
    """One walk through a schema."""

    def __init__(self, schema: Schema, subject: Subject) -> None:
        self._schema = schema
        self._subject = subject
        # Parts of one object that are described apart must each stay open for the others.
        self._open = any(map(_is_conjunction, _nodes(schema)))
        self._uses_any = False
        self._count = {"properties": 0, "enum values": 0, "characters in enum values": 0}

    def result(self) -> Schema:
        root = self._narrow(self._schema, ())
        if not self._uses_any:
            return root
        return root | {"$defs": root.get("$defs", {}) | _any_values()}

    def _narrow(self, node: Any, path: Path) -> Any:
        if node is False:
            return False
        if node is True:
            return self._any()
        if not isinstance(node, dict):
            raise self._fault(path, f"{_shown(node)} is not of type 'object', 'boolean'.")
        self._check(node, path)
        made = {key: self._deeper(key, node[key], path) for key in node if key in _KNOWN}
        kinds = _kinds(made)
        if not kinds:
            is_free = not self._open and not any(key in made for key in _COMBINING)
            return made | self._any() if is_free and not _constrains(made) else made
        made["type"] = kinds if len(kinds) > 1 else kinds[0]
        for kind in kinds:
            self._bound(kind, made, path)
        return made

    def _deeper(self, key: str, value: Any, path: Path) -> Any:
        here = (*path, key)
        if key in _NAMED:
            return {name: self._narrow(child, (*here, name)) for name, child in value.items()}
        if key in _LISTED or (key == "items" and isinstance(value, list)):
            return [self._narrow(child, (*here, str(at))) for at, child in enumerate(value)]
        if key in ("items", "additionalItems", "additionalProperties"):
            return self._narrow(value, here)
        return value

    def _check(self, node: Schema, path: Path) -> None:
        for key, (name, kind) in _SHAPES.items():
            if key in node and not _is_a(node[key], kind):
                raise self._fault((*path, key), f"{_shown(node[key])} is not {name}.")
        lists = [node.get("required", []), *node.get("dependentRequired", {}).values()]
        if not all(isinstance(names, list) and _all_text(names) for names in lists):
            raise self._fault(path, "'required' is not an array of strings.")
        for kind in _listed(node.get("type", [])):
            if kind not in _TYPES:
                raise self._fault(
                    path, f"{_shown(kind)} is not valid under any of the given schemas."
                )
        for key in ("anyOf", "oneOf", "allOf", "enum"):
            if node.get(key) == []:
                raise self._fault((*path, key), "[] should be non-empty.")
        for pattern in (node.get("pattern", ""), *node.get("patternProperties", ())):
            self._check_pattern(pattern, path)
        if not 0 < node.get("multipleOf", 1) <= MAX_MULTIPLE:
            raise self._fault(path, f"'multipleOf' must be above 0, at most {MAX_MULTIPLE}.")
        values = [str(value) for value in node.get("enum", ())]
        self._tally("properties", len(node.get("properties", ())), MAX_PROPERTIES)
        self._tally("enum values", len(values), MAX_ENUM_VALUES)
        self._tally("characters in enum values", sum(map(len, values)), MAX_ENUM_TEXT)

    def _check_pattern(self, pattern: str, path: Path) -> None:
        # Python's dialect knows no \p{...}, the others do.
        plain = re.sub(r"\\[pP]\{\w+\}", "a", pattern)
        try:
            re.compile(plain)
        except (re.error, RecursionError, OverflowError) as error:
            raise self._fault(path, f"{_shown(pattern)} is not a 'regex': {error}.") from error

    def _tally(self, what: str, more: int, most: int) -> None:
        self._count[what] += more
        if self._count[what] > most:
            raise self._subject.fault(f"it has too many {what}: at most {most} are allowed.")

    def _bound(self, kind: str, made: Schema, path: Path) -> None:
        bounds: dict[str, Callable[[Schema], None]] = {
            "integer": _bound_number,
            "number": _bound_number,
            "string": _spell_format,
            "array": self._bound_array,
            "object": self._close_object,
        }
        if kind in bounds and not ("enum" in made or "const" in made):
            bounds[kind](made)

    def _bound_array(self, made: Schema) -> None:
        if made.get("uniqueItems") is False:
            del made["uniqueItems"]
        if "items" not in made and not self._open:
            made["items"] = self._any()

    def _close_object(self, made: Schema) -> None:
        required = made.setdefault("required", [])
        for first, others in made.pop("dependentRequired", {}).items():
            # To have them all is one way to keep the rule.
            required += [name for name in (first, *others) if name not in required]
        if self._open:
            return
        named = made.get("properties", {})
        is_empty = not named and not made.get("patternProperties")
        if "additionalProperties" not in made:
            is_open = is_empty or made.get("minProperties", 0) > len(named)
            made["additionalProperties"] = self._any() if is_open else False
            if not made.get("patternProperties"):
                absent = {name: self._any() for name in required if name not in named}
                made["properties"] = named | absent

    def _any(self) -> Schema:
        self._uses_any = True
        return {"$ref": f"#/$defs/{_ANY}{ANY_DEPTH}"}

    def _fault(self, path: Path, reason: str) -> Exception:
        return self._subject.fault(f"In context={path!r}, {reason}")


def _any_values() -> dict[str, Schema]:
    """Definitions of any value, one for each depth."""
    number: Schema = {"type": "number"}
    _bound_number(number)
    plain = [{"type": "string"}, number, {"type": "boolean"}, {"type": "null"}]
    found = {f"{_ANY}0": {"anyOf": plain}}
    for depth in range(1, ANY_DEPTH + 1):
        inner = {"$ref": f"#/$defs/{_ANY}{depth - 1}"}
        nested = [
            {"type": "array", "items": inner},
            {"type": "object", "additionalProperties": inner},
        ]
        found[f"{_ANY}{depth}"] = {"anyOf": [*plain, *nested]}
    return found


def _bound_number(made: Schema) -> None:
    low = max(made.get("minimum", -math.inf), made.get("exclusiveMinimum", -math.inf))
    high = min(made.get("maximum", math.inf), made.get("exclusiveMaximum", math.inf))
    if low == -math.inf:
        made["minimum"] = -MOST if high >= -MOST / 10 else 10 * high
    if high == math.inf:
        made["maximum"] = MOST if low <= MOST / 10 else 10 * low
    if made["type"] != "integer" and "integer" not in _listed(made["type"]):
        made.setdefault("multipleOf", STEP)


def _spell_format(made: Schema) -> None:
    """A known format as a pattern; other names are annotations, as the specification has it."""
    if (spelling := FORMATS.get(made.pop("format", ""))) is None:
        return
    pattern = f"^(?:{spelling})$"
    if "pattern" in made:
        both = [{"type": "string", "pattern": pattern}, *made.get("allOf", ())]
        made["allOf"] = both
    else:
        made["pattern"] = pattern


def _kinds(node: Schema) -> list[str]:
    """The types that `node` asks for, or else those that its keywords are about."""
    if "type" in node:
        return list(_listed(node["type"]))
    return [kind for kind, keys in _KEYWORDS_OF.items() if any(key in node for key in keys)]


def _constrains(node: Schema) -> bool:
    return any(key in node for key in ("not", "if", "$dynamicRef", "$recursiveRef"))


def _is_conjunction(node: Schema) -> bool:
    """Whether the node says things about one value in several places."""
    said = set(node) & _KNOWN - {"$defs", "definitions", "$schema", "$id", "$anchor"}
    if "allOf" in node:
        parts = node["allOf"]
        return len(said) > 1 or (isinstance(parts, list) and len(parts) > 1)
    return len(said - {"type"}) > 1 and bool(said & {"$ref", "anyOf", "oneOf"})


def _nodes(value: Any) -> Iterator[Schema]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _nodes(item)


def _listed(kind: Any) -> list[Any]:
    return kind if isinstance(kind, list) else [kind]


def _is_a(value: Any, kind: Any) -> bool:
    if kind == int | float:
        return type(value) in (int, float) and math.isfinite(value)
    return isinstance(value, kind)


def _all_text(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _shown(value: Any) -> str:
    return repr(value)[:64]
