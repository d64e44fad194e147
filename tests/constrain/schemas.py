"""Over 200 schemas that span the keywords: (name, schema) pairs, made from families."""

from __future__ import annotations

import itertools
from typing import Any

Schema = dict[str, Any]


def thing(**properties: Any) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def closed(**properties: Any) -> Schema:
    return thing(**properties) | {"additionalProperties": False}


TEXT, WHOLE, NUMBER, FLAG = ({"type": kind} for kind in ("string", "integer", "number", "boolean"))
SHORT = {"type": "string", "maxLength": 8}

FORMATS = (
    "date-time", "date", "time", "duration", "email", "idn-email", "hostname", "idn-hostname",
    "ipv4", "ipv6", "uuid", "uri", "iri", "uri-reference", "iri-reference", "uri-template",
    "json-pointer", "relative-json-pointer", "regex",
)  # fmt: skip

_PATTERNS = (
    "^a+$", "^[A-Z]{2}-\\d{4}$", "^(foo|bar)*$", "b", "^\\w{3,9}$", "^[^aeiou]{4}$", "^$", "^x?$",
    "^\\+[1-9]\\d{5,9}$", "^\\S+@\\S+$", "[0-9]$", "^[α-ω]{2,5}$",
    "^(?:[01]\\d|2[0-3]):[0-5]\\d$", "^#([0-9a-f]{3}){1,2}$", "^\"quoted\"$", "^a\\/b$", "^.{3}$",
)  # fmt: skip

_RANGES = (
    {"minimum": 0}, {"maximum": 0}, {"minimum": 1, "maximum": 5}, {"exclusiveMinimum": 0},
    {"exclusiveMaximum": 10}, {"minimum": -3, "exclusiveMaximum": 4}, {"minimum": 10**6},
    {"minimum": -(10**9), "maximum": -(10**8)}, {"minimum": 18, "maximum": 120},
    {"minimum": 10**16},
)  # fmt: skip

_SIZES = ({"minItems": 1}, {"maxItems": 2}, {"minItems": 2, "maxItems": 4}, {"maxItems": 0})
_ITEMS = (
    {"enum": ["a", "b"]},
    {"type": "integer", "minimum": 0, "maximum": 99},
    FLAG,
    closed(x=FLAG),
)

_LENGTHS = ({"minLength": 3, "maxLength": 3}, {"maxLength": 0}, {"minLength": 1, "maxLength": 9})

_ENUMS = (
    ["red", "green"], [1, 2, 3], [None], [True], ["", " ", "\n"],
    ['a"b', "c\\d"], ["é", "日本", "😀"],
    [1, "1", None, False], [{"a": 1}, [1, 2]], [0.5, -1e3], ["<|im_end|>", "</s>"],
)  # fmt: skip

_TREE = {
    "$defs": {
        "node": closed(
            name=SHORT, children={"type": "array", "items": {"$ref": "#/$defs/node"}, "maxItems": 1}
        )
    },
    "$ref": "#/$defs/node",
}

_OTHERS: dict[str, Schema] = {
    "empty": {},
    "any object": {"type": "object"},
    "no properties": closed(),
    "only properties": {"properties": {"a": WHOLE, "b": FLAG}},
    "optional": {"type": "object", "properties": {"a": WHOLE, "b": FLAG, "c": SHORT}},
    "required only": {"type": "object", "required": ["a", "b"], "maxProperties": 2},
    "some required": {"type": "object", "properties": {"a": FLAG, "b": FLAG}, "required": ["b"]},
    "free values": closed(a={}, b=True),
    "map": {"type": "object", "additionalProperties": WHOLE, "maxProperties": 3},
    "map and names": thing(a=FLAG) | {"additionalProperties": {"type": "null"}},
    "patterns": {"type": "object", "patternProperties": {"^k[0-9]$": FLAG}, "maxProperties": 3},
    "min properties": {"type": "object", "minProperties": 2, "maxProperties": 3},
    "dependent": {
        "type": "object",
        "properties": {"a": FLAG, "b": FLAG},
        "dependentRequired": {"a": ["b"]},
    },
    "unicode keys": closed(**{"naïve": FLAG, "日本": WHOLE, 'a"b': FLAG, "tab\t": FLAG}),
    "control token key": closed(**{"<|im_end|>": FLAG}),
    "long key": closed(**{"k" * 200: FLAG}),
    "many keys": closed(**{f"key_{i}": FLAG for i in range(40)}),
    "key order": closed(z=FLAG, a=FLAG, m=FLAG),
    "nested": closed(a=closed(b=closed(c=closed(d=closed(e=FLAG))))),
    "tuple": {"type": "array", "prefixItems": [FLAG, WHOLE], "items": False, "minItems": 2},
    "tuple and more": {"type": "array", "prefixItems": [FLAG], "items": FLAG, "maxItems": 3},
    "old tuple": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "array", "items": [FLAG, WHOLE], "additionalItems": False},
    "matrix": {
        "type": "array",
        "items": {"type": "array", "items": FLAG, "minItems": 2, "maxItems": 2},
        "minItems": 2,
        "maxItems": 2,
    },
    "any items": {"type": "array", "maxItems": 2},
    "any of": {"anyOf": [FLAG, {"type": "null"}, closed(a=FLAG)]},
    "any of objects": {"anyOf": [closed(kind={"const": "a"}, x=FLAG), closed(kind={"const": "b"})]},
    "one of": {"oneOf": [closed(kind={"const": "a"}, x=FLAG), closed(kind={"const": "b"})]},
    "one of types": {"oneOf": [FLAG, WHOLE, {"type": "null"}]},
    "all of": {"allOf": [thing(a=FLAG), thing(b=WHOLE)]},
    "all of one": {"allOf": [closed(a=FLAG)]},
    "all of numbers": {"allOf": [WHOLE, {"minimum": 3}, {"maximum": 9}]},
    "all of strings": {"allOf": [{"type": "string", "pattern": "^a"}, {"maxLength": 5}]},
    "base and more": {
        "$defs": {"base": thing(id=WHOLE)},
        "allOf": [{"$ref": "#/$defs/base"}, thing(name=SHORT)],
    },
    "any required": thing(a=FLAG) | {"anyOf": [{"required": ["b"]}, {"required": ["c"]}]},
    "nullable": closed(
        a={"type": ["string", "null"], "maxLength": 4}, b={"type": ["integer", "null"]}
    ),
    "three types": {"type": ["integer", "boolean", "null"]},
    "number or text": {"type": ["number", "string"], "maxLength": 5},
    "definitions": {"definitions": {"a": FLAG}, **closed(x={"$ref": "#/definitions/a"})},
    "reference to a property": closed(a=FLAG, b={"$ref": "#/properties/a"}),
    "reference with escapes": {"$defs": {"a/b": FLAG}, **closed(x={"$ref": "#/$defs/a~1b"})},
    "reference and title": {"$defs": {"a": FLAG}, **closed(x={"$ref": "#/$defs/a", "title": "X"})},
    "tree": _TREE,
    "recursive root": {
        "type": "object",
        "properties": {"v": FLAG, "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
        "required": ["v", "next"],
        "additionalProperties": False,
    },
    "annotated": closed(a=FLAG) | {"title": "T", "description": "D", "examples": [1], "x-y": 2},
    "defaults": closed(a=FLAG | {"default": True}, b=WHOLE | {"readOnly": True}),
    "draft 7": closed(a=FLAG) | {"$schema": "http://json-schema.org/draft-07/schema#"},
    "pattern and format": {"type": "string", "format": "date", "pattern": "^20"},
    "pattern and length": {"type": "string", "pattern": "^a+$", "minLength": 2, "maxLength": 4},
    "open api format": closed(a={"type": "integer", "format": "int32"}, b=SHORT | {"format": "x"}),
    "unsaid types": {"items": FLAG, "maxItems": 2},
    "unsaid text": {"maxLength": 3},
    "unsaid number": {"minimum": 1, "maximum": 9},
    "typed enum": {"type": "string", "enum": ["a", 1, "b"]},
    "no uniqueness": {"type": "array", "items": FLAG, "uniqueItems": False, "maxItems": 2},
    "big number": closed(a=NUMBER, b=NUMBER),
}  # fmt: skip

_KIND_A, _KIND_B = closed(kind={"const": "a"}, x=FLAG), closed(kind={"const": "b"}, y=FLAG)
_CARD = {"properties": {"pay": {"const": "card"}}, "required": ["pay"]}
_UNIQUE = {"type": "array", "uniqueItems": True}

_REFINED: dict[str, Schema] = {
    "not a type": {"not": {"type": ["string", "object", "array"]}},
    "not a value": {"type": "string", "not": {"const": "no"}, "maxLength": 6},
    "not these values": {"type": "integer", "not": {"enum": [1, 2, 4]}, "minimum": 0, "maximum": 5},
    "enum without": {"enum": ["a", "b", "c"], "not": {"enum": ["b"]}},
    "not both": thing(c=FLAG) | {
        "properties": {"a": FLAG, "b": FLAG, "c": FLAG}, "not": {"required": ["a", "b"]}},
    "not in range": {"type": "number", "minimum": 0, "not": {"minimum": 10}},
    "not long": {"type": "string", "not": {"minLength": 5}},
    "not anything of": {"not": {"anyOf": [{"type": "object"}, {"type": "array"}, TEXT]}},
    "not not": {"not": {"not": FLAG}},
    "forbidden property": closed(a=FLAG) | {"properties": {"a": FLAG, "b": {"not": {}}}},
    "if then else": thing(pay={"enum": ["card", "cash"]}) | {
        "properties": {"pay": {"enum": ["card", "cash"]}, "number": SHORT, "coins": WHOLE},
        "if": _CARD, "then": {"required": ["number"]}, "else": {"required": ["coins"]}},
    "if then": {"type": "integer", "if": {"minimum": 10}, "then": {"multipleOf": 10}, "minimum": 0},
    "if else": {"if": FLAG, "else": WHOLE},
    "several ifs": {
        "type": "object", "properties": {"a": FLAG, "b": FLAG}, "required": ["a", "b"],
        "allOf": [
            {"if": {"properties": {"a": {"const": True}}}, "then": {"properties": {"b": {
                "const": False}}}},
            {"if": {"properties": {"b": {"const": True}}}, "then": {"properties": {"a": {
                "const": False}}}},
        ]},
    "overlapping one of": {"oneOf": [WHOLE | {"maximum": 5}, WHOLE | {"minimum": 3}]},
    "one of required": thing(z=FLAG) | {
        "properties": {"a": FLAG, "b": FLAG, "z": FLAG},
        "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
    "one of kinds": {"oneOf": [_KIND_A, _KIND_B, closed(kind={"const": "c"})]},
    "one of closed": {"oneOf": [
        {"type": "object", "properties": {"a": FLAG}, "additionalProperties": False},
        {"type": "object", "properties": {"b": FLAG}, "additionalProperties": False}]},
    "one of or a list": {"oneOf": [SHORT, {"type": "array", "items": SHORT, "maxItems": 2}]},
    "contains": {"type": "array", "items": WHOLE, "contains": {"minimum": 5}, "maxItems": 3},
    "contains few": {
        "type": "array", "items": {"enum": ["a", "b"]}, "contains": {"const": "a"},
        "minContains": 1, "maxContains": 2, "maxItems": 5},
    "contains after a tuple": {
        "type": "array", "prefixItems": [FLAG, WHOLE], "contains": {"const": "x"}, "maxItems": 4},
    "contains any two": {"type": "array", "contains": {}, "minContains": 2, "maxItems": 3},
    "unique": _UNIQUE | {"items": SHORT},
    "unique flags": _UNIQUE | {"items": FLAG, "minItems": 2},
    "unique values": _UNIQUE | {"items": {"enum": ["a", "b", "c"]}},
    "unique days": _UNIQUE | {"items": {"enum": list(range(7))}, "minItems": 3},
    "unique of many": _UNIQUE | {"items": {"enum": list(range(40))}, "minItems": 2, "maxItems": 4},
    "names of a pattern": {
        "type": "object", "propertyNames": {"pattern": "^[a-z]{1,4}$"}, "maxProperties": 2},
    "short names": {
        "type": "object", "propertyNames": {"maxLength": 3}, "additionalProperties": FLAG,
        "maxProperties": 2},
    "names of a list": {"type": "object", "propertyNames": {"enum": ["a", "b"]}},
    "names and properties": {
        "type": "object", "properties": {"a": FLAG, "B": FLAG},
        "propertyNames": {"pattern": "[a-z]"}},
    "dependent schemas": {
        "type": "object", "properties": {"a": FLAG, "b": WHOLE},
        "dependentSchemas": {"a": {"required": ["b"], "properties": {"b": {"minimum": 3}}}}},
    "dependencies": {
        "type": "object", "properties": {"a": FLAG, "b": FLAG, "c": FLAG},
        "dependencies": {"a": ["b"], "b": {"required": ["c"]}}},
    "two properties of three": {
        "type": "object", "properties": {"a": FLAG, "b": FLAG, "c": FLAG}, "minProperties": 2},
    "at most one of three": {
        "type": "object", "properties": {"a": FLAG, "b": FLAG, "c": FLAG}, "maxProperties": 1},
    "many free properties": {"type": "object", "additionalProperties": FLAG, "minProperties": 3},
    "unevaluated properties": {
        "type": "object", "properties": {"a": FLAG}, "allOf": [{"properties": {"b": FLAG}}],
        "unevaluatedProperties": False},
    "unevaluated and any of": {
        "anyOf": [thing(a=FLAG), thing(b=WHOLE)], "unevaluatedProperties": {"type": "null"}},
    "unevaluated items": {
        "type": "array", "prefixItems": [FLAG], "allOf": [{"prefixItems": [True, WHOLE]}],
        "unevaluatedItems": False},
    "all of closed": {"allOf": [thing(a=FLAG), thing(b=FLAG)], "additionalProperties": True},
    "patterns and all of": {
        "type": "object", "patternProperties": {"^x": WHOLE},
        "allOf": [{"properties": {"x1": {"minimum": 5}}, "required": ["x1"]}]},
    "reference and more": {
        "$defs": {"a": thing(a=FLAG)}, "$ref": "#/$defs/a", "properties": {"b": FLAG},
        "required": ["b"]},
    "anchor": {"$defs": {"a": {"$anchor": "here", **FLAG}}, **closed(x={"$ref": "#here"})},
    "address": {
        "$id": "https://example.com/root.json", "$defs": {"a": {"$id": "a.json", **FLAG}},
        **closed(x={"$ref": "a.json"}, y={"$ref": "https://example.com/root.json#/$defs/a"})},
    "unknown place": {"components": {"a": FLAG}, **closed(x={"$ref": "#/components/a"})},
    "dynamic reference": {
        "$dynamicAnchor": "node", "type": "object", "additionalProperties": False,
        "properties": {"v": FLAG, "next": {"$dynamicRef": "#node"}}},
    "two ways back": {
        "$defs": {
            "a": closed(b={"anyOf": [{"$ref": "#/$defs/b"}, {"type": "null"}]}),
            "b": closed(a={"anyOf": [{"$ref": "#/$defs/a"}, FLAG]})},
        "$ref": "#/$defs/a"},
    "draft 4": {
        "$schema": "http://json-schema.org/draft-04/schema#", "id": "http://example.com/x#",
        "type": "integer", "minimum": 0, "exclusiveMinimum": True, "maximum": 9},
    "draft 4 definitions": {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "definitions": {"a": {"id": "#here", **FLAG}}, **closed(x={"$ref": "#here"})},
    "integers of a number": {"allOf": [NUMBER, WHOLE, {"multipleOf": 4}, {"multipleOf": 6}]},
    "wide number": {"type": "number", "minimum": 0, "maximum": 1e20},
    "any name": {
        "type": "object", "patternProperties": {".*": FLAG}, "additionalProperties": False,
        "maxProperties": 2},
    "sizes with a point": {"type": "array", "items": FLAG, "minItems": 1.0, "maxItems": 2.0},
    "values and types": {"type": ["integer", "null"], "enum": ["a", 1, None]},
    "values and bounds": {"enum": [1, 5, 9, "a"], "minimum": 4, "maxLength": 0},
}  # fmt: skip
"""Keywords that are followed by a part of what they allow."""


def _families() -> Any:
    for name in FORMATS:
        yield f"format {name}", {"type": "string", "format": name}
        yield f"property of format {name}", closed(v={"type": "string", "format": name})
    for pattern in _PATTERNS:
        yield f"pattern {pattern}", {"type": "string", "pattern": pattern, "maxLength": 24}
    for kind, limits in itertools.product((WHOLE, NUMBER), _RANGES):
        yield f"{kind['type']} {limits}", kind | limits
    for multiple in (1, 2, 5, 10, 60, 100, 0.7, 0.01):
        yield f"multiple of {multiple}", WHOLE | {"multipleOf": multiple, "minimum": 0}
    for multiple in (0.5, 0.25, 3, 0.125, 0.1, 0.01, 0.7, 1.1, 1e-6):
        yield f"number, multiple of {multiple}", NUMBER | {"multipleOf": multiple, "maximum": 1000}
    for item, size in itertools.product(_ITEMS, _SIZES):
        yield f"items {item} {size}", {"type": "array", "items": item} | size
    for length in _LENGTHS:
        yield f"text {length}", TEXT | length
    for at, values in enumerate(_ENUMS):
        yield f"enum {at}", {"enum": values}
        yield f"property of enum {at}", closed(v={"enum": values})
    for value in ("a", 1, None, True, [1, "x"], {"a": {"b": 2}}, "日本", 0.1):
        yield f"const {value!r}", {"const": value}
    for kind in (SHORT, WHOLE, NUMBER, FLAG, {"type": "null"}):
        yield f"type {kind['type']}", kind
        yield f"property of type {kind['type']}", closed(value=kind)
        yield f"optional {kind['type']}", closed(value={"anyOf": [kind, {"type": "null"}]})
        yield f"list of {kind['type']}", {"type": "array", "items": kind, "maxItems": 3}
        yield (
            f"map of {kind['type']}",
            {
                "type": "object",
                "additionalProperties": kind,
                "maxProperties": 2,
            },
        )
    yield from _OTHERS.items()
    yield from _REFINED.items()


SCHEMAS: list[tuple[str, Schema]] = list(_families())
