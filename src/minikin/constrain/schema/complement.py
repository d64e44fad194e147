"""Schemas of the values that a schema does not allow, or of a part of them."""

from __future__ import annotations

from typing import Any

from minikin.constrain.schema.document import TYPES, Node
from minikin.constrain.schema.shape import distinct, kind_of

_ANY = "(?:.|\\n)"
_LESS = {"minItems": "array", "minLength": "string", "minProperties": "object"}
_MORE = {"maxItems": "array", "maxLength": "string", "maxProperties": "object"}
_ACROSS = {
    "minimum": "exclusiveMaximum",
    "exclusiveMinimum": "maximum",
    "maximum": "exclusiveMinimum",
    "exclusiveMaximum": "minimum",
}
_LOST = (
    "pattern", "format", "multipleOf", "uniqueItems", "additionalProperties", "patternProperties",
    "propertyNames", "unevaluatedItems", "unevaluatedProperties",
)  # fmt: skip
"""Keywords without a schema for their violations."""


def complement(node: Node, target: Node | None) -> tuple[Node, set[str]]:
    """A schema of values that `node` does not allow, and the keywords that it ignores.

    `target` is the target of its `$ref`.
    """
    if isinstance(node, bool):
        return not node, set()
    found: list[Node] = [] if target is None else [_not(target)]
    lost: set[str] = set()
    for key, value in node.items():
        breaking = _breaking(key, value, node)
        found += breaking
        if not breaking and key in _LOST:
            lost.add(key)
    return {"anyOf": found} if found else False, lost


def _breaking(key: str, value: Any, node: dict[str, Any]) -> list[Node]:
    """Schemas of values that violate one keyword of `node`."""
    if key in _LESS and value > 0:
        return [{"type": _LESS[key], f"max{key[3:]}": value - 1}]
    if key in _MORE:
        return [{"type": _MORE[key], f"min{key[3:]}": value + 1}]
    if key in _ACROSS:
        return [{"type": "number", _ACROSS[key]: value}]
    if key == "type":
        return _of_other_types(value if isinstance(value, list) else [value])
    if key in ("enum", "const"):
        return _of_other_values(value if key == "enum" else [value])
    if key == "allOf":
        return [_not(child) for child in value]
    if key == "anyOf":
        return [{"allOf": [_not(child) for child in value]}]
    if key == "oneOf":
        pairs = [{"allOf": [a, b]} for i, a in enumerate(value) for b in value[:i]]
        return [{"allOf": [_not(child) for child in value]}, *pairs[:10]]
    if key == "not":
        return [value]
    if key == "if":
        then, otherwise = node.get("then", True), node.get("else", True)
        return [{"allOf": [value, _not(then)]}, {"allOf": [_not(value), _not(otherwise)]}]
    return _breaking_parts(key, value)


def _breaking_parts(key: str, value: Any) -> list[Node]:
    if key == "required":
        return [{"type": "object", "properties": {name: False}} for name in value]
    if key == "properties":
        return [_with(name, _not(child)) for name, child in value.items()]
    if key == "dependentRequired":
        return [
            _with(name, True) | {"properties": {other: False}}
            for name, others in value.items()
            for other in others
        ]
    if key == "dependentSchemas":
        return [{"allOf": [_with(name, True), _not(child)]} for name, child in value.items()]
    if key == "items":
        return [{"type": "array", "minItems": 1, "prefixItems": [_not(value)]}]
    if key == "prefixItems":
        return [
            {"type": "array", "minItems": at + 1, "prefixItems": [True] * at + [_not(child)]}
            for at, child in enumerate(value)
        ]
    if key == "contains":
        return [{"type": "array", "items": _not(value)}]
    return []


def _not(node: Node) -> Node:
    return not node if isinstance(node, bool) else {"not": node}


def _with(name: str, node: Node) -> dict[str, Any]:
    return {"type": "object", "required": [name], "properties": {name: node}}


def _of_other_types(kinds: list[str]) -> list[Node]:
    # A grammar cannot distinguish integers from other numbers.
    taken = {*kinds, *(("integer", "number") if {"integer", "number"} & {*kinds} else ())}
    left = [kind for kind in TYPES if kind not in taken and kind != "integer"]
    return [{"type": left}] if left else []


def _of_other_values(values: list[Any]) -> list[Node]:
    """All values of each type except `values`, as far as a schema can express it."""
    numbers = sorted({v for v in values if kind_of(v) in ("integer", "number")})
    texts = [value for value in values if isinstance(value, str)]
    found: list[Node] = []
    for low, high in zip([None, *numbers], [*numbers, None], strict=True):
        bounds = {"exclusiveMinimum": low, "exclusiveMaximum": high}
        found.append({"type": "number"} | {k: v for k, v in bounds.items() if v is not None})
    found.append({"type": "string"} | ({"pattern": other_texts(texts)} if texts else {}))
    flags = [flag for flag in (True, False, None) if not any(flag is value for value in values)]
    if flags:
        found.append({"enum": list(flags)})
    for kind, empty, least in (("array", [], "minItems"), ("object", {}, "minProperties")):
        same = distinct(value for value in values if kind_of(value) == kind)
        if all(value == empty for value in same):
            found.append({"type": kind} | ({least: 1} if same else {}))
    return found


def other_texts(texts: list[str]) -> str:
    """A regular expression for every text except `texts`."""
    return f"^(?:{_other(sorted(set(texts)))})$"


def _other(texts: list[str]) -> str:
    """A regular expression for every ending except `texts`, of which there is at least one."""
    ends = "" in texts
    by_first: dict[str, list[str]] = {}
    for text in texts:
        if text:
            by_first.setdefault(text[0], []).append(text[1:])
    if not by_first:
        return f"{_ANY}+"
    ways = [f"[^{''.join(map(_literal, by_first))}]{_ANY}*"]
    ways += [f"{_literal(first)}(?:{_other(rest)})" for first, rest in by_first.items()]
    return "(?:" + "|".join(ways) + ")" + ("" if ends else "?")


def _literal(character: str) -> str:
    """Escaped for the regular expressions of Python and Rust."""
    plain = character.isalnum() or ord(character) > 127
    return character if plain else f"\\x{ord(character):02x}"
