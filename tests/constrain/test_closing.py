"""The ways that answers can be ended, on the schemas of the whole set."""

from __future__ import annotations

import json
import re

import pytest

from minikin.constrain.closing import Closing
from tests.constrain.schemas import SCHEMAS, closed, thing
from tests.constrain.walk import EOS, TOKENIZER, check, grammar_of, masks

CLOSING = Closing(TOKENIZER.free_bytes(), TOKENIZER.eos_ids)
TEXT = {"type": "string"}
LONG_OR_SHORT = {
    "anyOf": [
        closed(kind={"const": "long"}, a=TEXT, b=TEXT, c=TEXT, d=TEXT),
        closed(kind={"const": "short"}),
    ]
}
TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": closed(
            value={"type": "integer"}, children={"type": "array", "items": {"$ref": "#/$defs/node"}}
        )
    },
}


def way(schema, text="", most=2000):
    """What ends the answer that has begun with `text`."""
    mask = masks().begin(grammar_of(schema)).result().fresh()
    for token in text.encode():
        mask.accept(token, forced=False)
    found = CLOSING.way(mask._matcher, most)
    return None if found is None else b"".join(map(TOKENIZER.token_bytes, found)).decode()


@pytest.mark.parametrize(("name", "schema"), SCHEMAS, ids=[name for name, _ in SCHEMAS])
def test_every_schema_has_a_way_that_gives_a_valid_value(name, schema):
    check(json.loads(way(schema)), schema)


@pytest.mark.parametrize(
    ("schema", "begun", "ending"),
    [
        (thing(name=TEXT), '{"name": "Bo', '"}'),
        (thing(name=TEXT, age={"type": "integer"}), '{"name": "Bo', '", "age": 0}'),
        (TREE, '{"value": 1, "children": [{"value": 2', ', "children": []}]}'),
        (LONG_OR_SHORT, "", '{"kind": "short"}'),
        ({"enum": ["a very long text", "a"]}, "", '"a"'),
        ({"anyOf": [thing(deep=TEXT), {"type": "null"}]}, "", "null"),
        ({"type": "array", "items": TEXT, "minItems": 2}, "[", '"", ""]'),
        ({"type": "string", "pattern": "^[a-z]*7$"}, '"abc', '7"'),
        ({"type": "array", "items": TEXT}, '["an \\" escaped ] quote', '"]'),
    ],
)
def test_the_way_is_the_shortest(schema, begun, ending):
    assert way(schema, begun, most=len(ending)) == ending


@pytest.mark.parametrize(
    ("pattern", "begun"),
    [
        (r"^[a-z]+@[a-z]+\.[a-z]{2,}$", "ann"),
        (r"^[a-z]+@([a-z]+\.)+[a-z]{2,}$", "ann"),
        (r"^[a-z]+://[a-z]+/[a-z]+\.pdf#page=[0-9]+$", "ab"),
        (r"^[A-Z]{2}-[a-z]+_[a-z]+=[a-z]+;$", "AB"),
        (r"^([a-z]+/)+[a-z]+\.(txt|md)$", "ab/c"),
    ],
)
def test_punctuation_that_a_pattern_needs_is_found(pattern, begun):
    ending = way({"type": "string", "pattern": pattern}, f'"{begun}', most=24)
    assert re.fullmatch(pattern, json.loads(f'"{begun}{ending}'))


def test_a_way_that_is_too_long_is_none():
    assert way({"type": "string", "minLength": 50}, most=5) is None


def test_a_finished_answer_needs_no_token():
    assert way({"type": "integer", "minimum": 1, "maximum": 50}, "4") == ""


def test_a_known_way_is_checked_without_a_search():
    mask = masks().begin(grammar_of(thing(name=TEXT))).result().fresh()
    for token in b'{"name": "Bo':
        mask.accept(token, forced=False)
    assert CLOSING.ends(mask._matcher, list(b'"}'))
    assert not CLOSING.ends(mask._matcher, list(b'"'))
    assert not CLOSING.ends(mask._matcher, list(b'"]'))
    assert EOS not in CLOSING.way(mask._matcher, 10)
