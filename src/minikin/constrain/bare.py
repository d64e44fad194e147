"""Grammars of arguments as an object with bare names (see `chat.bare`)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from minikin.constrain.elements import is_apart, is_text, with_definitions
from minikin.constrain.keywords import listed_rules
from minikin.constrain.lark import literal
from minikin.constrain.plan import Schema, SchemaPart
from minikin.marks import GEMMA_QUOTE

_NAME = re.compile(r"[\w.-]{1,64}")
"""A name that needs no quotes."""


def are_bare(schema: Schema) -> bool:
    """Whether the arguments of a function can be written one by one, with bare names."""
    return is_apart(schema) and all(map(_NAME.fullmatch, schema.get("properties", {})))


def bare_rules(
    name: str, part: SchemaPart, tokens: Mapping[str, int], laid_out: Callable[[Schema], Schema]
) -> Iterator[str]:
    """The rules of a function's arguments. The first one has this name.

    Texts are in the model's own quotes, all other values are JSON. `tokens` are those of marks,
    text -> id. `laid_out` gives the narrowed schema of a value.
    """
    assert part.schema is not None
    root = part.schema
    mark = literal(GEMMA_QUOTE, tokens)

    def value(rule: str, schema: Any) -> str:
        if not is_text(schema, GEMMA_QUOTE):
            return f"{rule}: %json {json.dumps(laid_out(with_definitions(schema, root)))}"
        if "enum" in schema:
            values = (literal(f"{GEMMA_QUOTE}{one}{GEMMA_QUOTE}", tokens) for one in schema["enum"])
            return f"{rule}: {' | '.join(values)}"
        return rf"{rule}: {mark} {rule}_text" + "\n" + rf"{rule}_text[lazy]: /(.|\n)*/ {mark}"

    yield f'{name}: "{{" {name}_list "}}"'
    yield from listed_rules(f"{name}_list", root, ":", ",", value)
