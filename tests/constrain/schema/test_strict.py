from __future__ import annotations

import pytest

from minikin.constrain.schema.strict import check_strict
from minikin.errors import InvalidRequest
from tests.constrain.schemas import closed
from tests.constrain.walk import SUBJECT

TEXT = {"type": "string"}
IN_A = "In context=('properties', 'a'), "

FAULTS = [
    ({}, "schema must be a JSON Schema of 'type: \"object\"', got 'type: \"None\"'."),
    (
        {"type": "array", "items": TEXT},
        "schema must be a JSON Schema of 'type: \"object\"', got 'type: \"array\"'.",
    ),
    (closed() | {"anyOf": [closed()]}, "In context=(), 'anyOf' is not permitted at the root."),
    (
        {"type": "object", "properties": {}, "required": []},
        "In context=(), 'additionalProperties' is required to be supplied and to be false.",
    ),
    (
        closed(a=TEXT) | {"required": []},
        "In context=(), 'required' is required to be supplied and to be an array including every "
        "key in properties. Missing 'a'.",
    ),
    (closed(a=TEXT) | {"required": ["a", "b"]}, "In context=(), Extra required key 'b' supplied."),
    (closed(a={}), IN_A + "schema must have a 'type' key."),
    (closed(a=True), IN_A + "True is not of type 'object', 'boolean'."),
    (closed(a={"type": "text"}), IN_A + "'text' is not valid under any of the given schemas."),
    (closed(a={"type": "array"}), IN_A + "array schema missing items."),
    (closed(a=TEXT | {"format": "uri"}), IN_A + "'uri' is not a valid format."),
    (
        closed(a={"$ref": "#/$defs/x", "description": "d"}) | {"$defs": {"x": TEXT}},
        IN_A + "$ref cannot have keywords {'description'}.",
    ),
    (closed(a={"enum": []}), "In context=('properties', 'a', 'enum'), [] should be non-empty."),
    (
        closed(a={"anyOf": [TEXT, {"oneOf": []}]}),
        "In context=('properties', 'a', 'anyOf', '1'), 'oneOf' is not permitted.",
    ),
    (
        closed(a={"type": "string", "enum": ["x" * 61] * 250 + ["y"]}),
        "Expected at most 15000 characters",
    ),
    (closed(a={"enum": list(range(1001))}), "Expected at most 1000 enum values"),
    (closed(**{f"p{i}": TEXT for i in range(5001)}), "Expected at most 5000 object properties"),
    (closed(**{"k" * 120_001: TEXT}), "Expected at most 120000 characters"),
]


@pytest.mark.parametrize(("schema", "reason"), FAULTS)
def test_a_violation_of_the_subset_has_openais_words(schema, reason):
    with pytest.raises(InvalidRequest) as raised:
        check_strict(schema, SUBJECT)
    assert raised.value.message.startswith(f"Invalid schema for response_format 'x': {reason}")
    assert (raised.value.param, raised.value.code) == ("response_format", None)


@pytest.mark.parametrize(
    "keyword",
    ["allOf", "oneOf", "not", "if", "dependentRequired", "patternProperties", "default",
     "unevaluatedProperties", "minLength", "maxLength", "uniqueItems", "x-guidance"],
)  # fmt: skip
def test_keywords_beyond_the_subset_are_named(keyword):
    with pytest.raises(InvalidRequest, match=f"'{keyword}' is not permitted"):
        check_strict(closed(a=TEXT | {keyword: 1}), SUBJECT)


def test_look_around_is_refused_in_openais_words():
    items = {"type": "array", "items": {"anyOf": [TEXT, TEXT | {"pattern": "^(?!a)b"}]}}
    with pytest.raises(InvalidRequest) as raised:
        check_strict(closed(a=items), SUBJECT)
    assert raised.value.message == (
        "Invalid JSON schema: regex lookaround is not supported. "
        "Found at $.properties.a.items.anyOf[1].pattern."
    )
    check_strict(closed(a=TEXT | {"pattern": "^[(?!]$"}), SUBJECT)


def test_ten_levels_are_the_most():
    schema = TEXT
    for _ in range(9):
        schema = closed(a=schema)
    check_strict(schema, SUBJECT)
    with pytest.raises(InvalidRequest, match="11 levels of nesting exceeds limit of 10"):
        check_strict(closed(a=schema), SUBJECT)


def test_recursion_const_and_unions_are_fine():
    check_strict(
        closed(
            kind={"const": "node"},
            size={"type": ["integer", "null"], "minimum": 0},
            next={"anyOf": [{"$ref": "#"}, {"type": "null"}]},
            when={"type": "string", "format": "date-time"},
            tags={"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 1},
        ),
        SUBJECT,
    )
