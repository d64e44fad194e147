"""JSON Schemas as text for a model to read: as JSON, or as a list of fields.

Clients write the schemas. A value that a keyword cannot have is skipped, and nothing raises.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

Schema = dict[str, Any]

MAX_CHARS = 4_096
"""The longest useful text. A longer one may be incomplete."""
_KEPT = ("type", "$ref")
_VALUES = ("const", "required")
_SCHEMAS = ("properties", "$defs", "definitions")
"""Keywords that hold schemas by name."""
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_DEPTH = 6
"""The most levels of a list of fields."""
_ALTERNATIVES, _VALUES_SHOWN, _VALUE_CHARS = 8, 64, 64
"""The most that is listed of what one value can be."""


class _Limits(NamedTuple):
    """What is kept of a schema that is too long."""

    description: int
    """Characters."""
    values: int
    """Of an enumeration."""


_STEPS = (_Limits(1 << 20, 1 << 20), _Limits(240, 40), _Limits(80, 10), _Limits(0, 0))


def shortened(schema: Schema) -> Iterator[Schema]:
    """The schema as it is, then shorter and shorter ones.

    The first has only structure, values and descriptions. Then long descriptions and enumerations
    are cut, then removed. The last has only the names of the top level.
    """
    yield schema
    for limits in _STEPS:
        yield _less(schema, limits)
    top = _resolve(schema, schema.get("$ref")) or schema
    yield {"type": "object", "properties": {name: {} for name in _properties(top)}}


def as_json(schema: Schema) -> str:
    """The schema itself."""
    return json.dumps(schema, ensure_ascii=False)


def as_fields(schema: Schema) -> str:
    """A line for each property, such as `- name: description (kind)`; inner ones are indented."""
    fields, written, size = _Fields(schema), [], 0
    for line in fields.all():
        written.append(line)
        size += len(line)
        if size > MAX_CHARS:
            break
    return "\n".join(written)


def one_line(text: Any) -> str:
    """A description as part of a line; empty if it is not a string."""
    return " ".join(text[:MAX_CHARS].split()) if isinstance(text, str) else ""


def cut(text: str, most: int) -> str:
    """`text`, shortened to about `most` characters."""
    return text if len(text) <= most else f"{text[:most].rstrip()} ..."


def _less(schema: Any, limits: _Limits) -> Any:
    if not isinstance(schema, dict):
        return schema
    kept: Schema = {}
    for key, value in schema.items():
        if key in _SCHEMAS and isinstance(value, dict):
            kept[key] = {name: _less(inner, limits) for name, inner in value.items()}
        elif key in _LISTS and isinstance(value, list):
            kept[key] = [_less(inner, limits) for inner in value]
        elif key == "items":
            kept[key] = _less(value, limits)
        elif key == "description" and limits.description and isinstance(value, str):
            kept[key] = cut(value, limits.description)
        elif key == "enum" and limits.values and isinstance(value, list):
            kept[key] = value[: limits.values] + ["..."] * (len(value) > limits.values)
        elif key in _KEPT or (key in _VALUES and limits.values):
            kept[key] = value
    return kept


def _properties(schema: Schema) -> dict[str, Any]:
    properties = schema.get("properties")
    return properties if isinstance(properties, dict) else {}


def _resolve(root: Schema, target: Any) -> Schema:
    """The schema that a reference points to; an empty one if there is none."""
    found: Any = root if isinstance(target, str) else None
    for step in str(target).split("/")[1:]:
        found = found.get(step) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


class _Fields:
    """Writes one schema. The fields of a definition follow its first reference."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._listed: set[str] = set()
        self._kinds: dict[tuple[str, int], str] = {}

    def all(self) -> Iterator[str]:
        """All lines. If the root is not an object, the first line is its kind."""
        if _properties(self._root):
            yield from self.lines(self._root, 0)
        else:
            yield self.kind(self._root)
            yield from self.within(self._root, 0)

    def lines(self, schema: Schema, depth: int) -> Iterator[str]:
        """The lines of an object's properties."""
        for name, value in _properties(schema).items():
            shown = name if name.isprintable() else ascii(name)
            kind, about = self.kind(value), self._description(value)
            # A plain type beside a description makes small models worse: docs/performance.md.
            kind = f" ({kind})" if kind and (" or " in kind or not about) else ""
            yield f"{'  ' * depth}- {shown}{about and f': {about}'}{kind}"
            yield from self.within(value, depth)

    def within(self, schema: Any, depth: int) -> Iterator[str]:
        """The lines of the objects that a value can be or contain."""
        if depth < _DEPTH:
            for inner in self._objects(schema):
                yield from self.lines(inner, depth + 1)

    def _description(self, schema: Any) -> str:
        if not isinstance(schema, dict):
            return ""
        own = one_line(schema.get("description"))
        return own or one_line(_resolve(self._root, schema.get("$ref")).get("description"))

    def _objects(self, schema: Any) -> Iterator[Schema]:
        """The objects that a value can be or contain, without those listed before."""
        if not isinstance(schema, dict):
            return
        if isinstance(target := schema.get("$ref"), str):
            if target not in self._listed:
                self._listed.add(target)
                yield from self._objects(_resolve(self._root, target))
        elif _properties(schema):
            yield schema
        else:
            for inner in (schema.get("items"), *_alternatives(schema)):
                yield from self._objects(inner)

    def kind(self, schema: Any, depth: int = 3) -> str:
        """Such as `string`, `list of integer`, `red or blue`, `Address or null`."""
        if not isinstance(schema, dict):
            return ""
        if isinstance(target := schema.get("$ref"), str):
            if (target, depth) not in self._kinds:
                self._kinds[target, depth] = self._referred(target, depth)
            return self._kinds[target, depth]
        if "const" in schema:
            return _value(schema["const"])
        if isinstance(values := schema.get("enum"), list):
            return " or ".join(map(_value, values[:_VALUES_SHOWN]))
        if alternatives := _alternatives(schema):
            kinds = [self._inner(inner, depth) for inner in alternatives[:_ALTERNATIVES]]
            return " or ".join(dict.fromkeys(filter(None, kinds)))
        types = schema.get("type")
        named = [kind for kind in (types if isinstance(types, list) else [types]) if kind]
        return " or ".join(self._plain(str(kind), schema, depth) for kind in named)

    def _referred(self, target: str, depth: int) -> str:
        resolved = _resolve(self._root, target)
        if not _properties(resolved):
            return self._inner(resolved, depth)
        return target.rpartition("/")[2] if "/" in target else "object"

    def _plain(self, kind: str, schema: Schema, depth: int) -> str:
        if kind == "array":
            inner = self._inner(schema.get("items"), depth)
            return f"list of {inner}" if inner else "list"
        if kind == "string" and isinstance(form := schema.get("format"), str):
            return form
        return kind

    def _inner(self, schema: Any, depth: int) -> str:
        return self.kind(schema, depth - 1) if depth else ""


def _value(value: Any) -> str:
    plain = isinstance(value, str) and value.strip() and value.isprintable()
    return cut(value if plain else json.dumps(value, ensure_ascii=False), _VALUE_CHARS)


def _alternatives(schema: Schema) -> list[Any]:
    lists = (schema.get(key) for key in ("anyOf", "oneOf", "allOf"))
    return next((value for value in lists if isinstance(value, list)), [])
