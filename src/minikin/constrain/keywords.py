"""Grammars of arguments as in a Python call (see `chat.keywords`)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from minikin.constrain.elements import is_apart, with_definitions
from minikin.constrain.lark import quote
from minikin.constrain.plan import Schema, SchemaPart

_IN_PYTHON = {"boolean": '"True" | "False"', "null": '"None"'}
"""The values of these types. JSON writes others in a form that Python reads too."""

_PLAIN = {"type", "title", "description", "default", "examples"}
"""The keywords of a schema that allows every value of its type."""


def are_keywords(schema: Schema) -> bool:
    """Whether the arguments of a function can be written one by one, with names as in Python."""
    return is_apart(schema) and all(map(str.isidentifier, schema.get("properties", {})))


def keyword_rules(
    name: str, part: SchemaPart, laid_out: Callable[[Schema], Schema]
) -> Iterator[str]:
    """The rules of a function's arguments. The first one has this name.

    `laid_out` gives the narrowed schema of a value.
    """
    assert part.schema is not None
    root = part.schema
    yield from listed_rules(
        name, root, "=", ", ", lambda rule, one: f"{rule}: {_value(one, root, laid_out)}"
    )


def listed_rules(
    name: str, root: Schema, assign: str, comma: str, value: Callable[[str, Any], str]
) -> Iterator[str]:
    """The rules of the properties of `root` in their order. The first one has this name.

    `assign` follows a property's name, and `comma` its value. `value` gives the rule of a value,
    with its name, from the schema of the value.
    """
    properties, required = root.get("properties", {}), root.get("required", [])
    starts: list[str] = []
    for at, (key, schema) in enumerate(properties.items()):
        optional = "" if key in required else "?"
        yield f"{name}_{at}: {quote(key + assign)} {name}_value{at}"
        yield value(f"{name}_value{at}", schema)
        yield f"{name}_from{at}: ({quote(comma)} {name}_{at}){optional} {name}_from{at + 1}"
        if not any(before in required for before in [*properties][:at]):
            starts.append(f"{name}_{at} {name}_from{at + 1}")
    yield f'{name}_from{len(properties)}: ""'
    if not any(key in required for key in properties):
        starts.append('""')
    yield f"{name}: {' | '.join(starts)}"


def _value(schema: Any, root: Schema, laid_out: Callable[[Schema], Schema]) -> str:
    kind = schema.get("type") if isinstance(schema, dict) and set(schema) <= _PLAIN else None
    if isinstance(kind, str) and kind in _IN_PYTHON:
        return _IN_PYTHON[kind]
    return f"%json {json.dumps(laid_out(with_definitions(schema, root)))}"
