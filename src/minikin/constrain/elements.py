"""Grammars of arguments that are elements, not JSON (see `chat.elements`)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from minikin.constrain.lark import literal, quote
from minikin.constrain.plan import Schema, SchemaPart
from minikin.marks import CDATA, CDATA_END, Elements

_DEFINITIONS = ("$defs", "definitions")
_OF_OBJECTS = {
    "type", "properties", "required", "additionalProperties", "title", "description", "$schema",
    *_DEFINITIONS,
}  # fmt: skip
"""The keywords of a schema whose properties can be written one by one."""
_OF_TEXTS = {"type", "title", "description", "default", "examples", "enum"}
_NAME = re.compile(r"[^<>\n]{1,64}")
_ELSEWHERE = re.compile(r'"\$(id|anchor|dynamicRef)": |"\$ref": "(?!#/(\$defs|definitions)/)')


def texts_in(schema: Schema, marks: Elements) -> frozenset[str] | None:
    """The parameters of a function whose values are text: strings without a further condition.

    None if the schema does not describe each parameter alone. Its arguments are then JSON.
    """
    if not is_apart(schema):
        return None
    properties = schema.get("properties", {})
    return frozenset(n for n, value in properties.items() if is_text(value, marks.value_end))


def is_apart(schema: Schema) -> bool:
    """Whether the schema of a function describes each parameter alone."""
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if not isinstance(properties, dict) or not isinstance(required, list):
        return False
    open_ended = schema.get("additionalProperties", False) is not False and not properties
    if open_ended or schema.get("type") != "object" or set(schema) - _OF_OBJECTS:
        return False
    if not all(name in properties for name in required) or not all(map(_is_name, properties)):
        return False
    return not _ELSEWHERE.search(json.dumps(schema))


def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def is_text(schema: Any, end: str) -> bool:
    """Whether a parameter can be any text, or one of some texts, none of which contains `end`."""
    if not isinstance(schema, dict) or schema.get("type") != "string" or set(schema) - _OF_TEXTS:
        return False
    values = schema.get("enum", [""])
    return isinstance(values, list) and all(isinstance(v, str) and end not in v for v in values)


def element_rules(
    name: str,
    part: SchemaPart,
    marks: Elements,
    tokens: Mapping[str, int],
    laid_out: Callable[[Schema], Schema],
) -> Iterator[str]:
    """The rules of a function's arguments. The first one has this name.

    `tokens` are those of marks, text -> id. `laid_out` gives the narrowed schema of a JSON value.
    """
    assert part.schema is not None
    assert part.texts is not None
    root = part.schema
    properties, required = root.get("properties", {}), root.get("required", [])
    places = [
        f"{name}_{at}" + ("" if key in required else "?") for at, key in enumerate(properties)
    ]
    yield f"{name}: {' '.join(places) or quote('')}"
    end = literal(marks.value_end, tokens)
    for at, (key, schema) in enumerate(properties.items()):
        begin = literal(f"{marks.begin}{key}{marks.name_end}", tokens)
        yield f"{name}_{at}: {begin} {name}_value{at}"
        if key not in part.texts:
            yield f"{name}_value{at}: {name}_json{at} {end}"
            yield f"{name}_json{at}: %json {json.dumps(laid_out(with_definitions(schema, root)))}"
        elif "enum" in schema:
            values = " | ".join(map(quote, schema["enum"]))
            yield f"{name}_value{at}: ({values}) {end}"
        elif marks.has_cdata:
            whole_end = literal(f"{CDATA_END}{marks.value_end}", tokens)
            yield f"{name}_value{at}: {literal(CDATA, tokens)} {name}_cdata{at} | {name}_plain{at}"
            yield rf"{name}_cdata{at}[lazy]: /(.|\n)*/ {whole_end}"
            yield rf"{name}_plain{at}[lazy]: /([^<](.|\n)*)?/ {end}"
        else:
            yield rf"{name}_value{at}[lazy]: /(.|\n)*/ {end}"


def with_definitions(schema: Any, root: Schema) -> Any:
    """The schema of a parameter alone, with the definitions that it can refer to."""
    shared = {key: root[key] for key in _DEFINITIONS if key in root}
    return schema | shared if isinstance(schema, dict) else schema
