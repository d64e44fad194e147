from __future__ import annotations

import copy
import random
from contextlib import suppress

import pytest

from minikin.constrain.schema.narrow import narrow
from minikin.errors import InvalidRequest
from tests.constrain.schemas import SCHEMAS
from tests.constrain.walk import SUBJECT, grammar_of

ODD = [None, True, False, 0, -1, 1e400, "", "x", [], [1], ["a", ["b"]], {}, {"a": 1}, {"type": "x"}]

FAULTS = [
    ({"type": "stringg"}, "'stringg' is not valid under any of the given schemas."),
    ({"properties": {"foo": "bar"}}, "In context=('properties', 'foo'), 'bar' is not of type"),
    ({"type": "string", "pattern": "(((("}, "'((((' is not a 'regex': missing )"),
    ({"type": "string", "pattern": "foo**"}, "'foo**' is not a 'regex': multiple repeat"),
    ({"patternProperties": {"[": {}}}, "'[' is not a 'regex'"),
    (
        {"properties": {"a": {"items": {"pattern": "a(?=b)"}}}},
        "lookaround is not supported. Found at $.properties.a.items.pattern.",
    ),
    (
        {"properties": {"a": {"pattern": r"(a)\1"}}},
        "In context=('properties', 'a', 'pattern'), back references are not supported.",
    ),
    ({"pattern": r"\bword"}, "In context=('pattern',), word boundaries are not supported."),
    ({"patternProperties": {"(?<!a)": {}}}, "Found at $.patternProperties.(?<!a)."),
    ({"type": "integer", "multipleOf": 1_000_003}, "'multipleOf' must be above 0, at most 100000."),
    ({"type": "integer", "maximum": float("inf")}, "inf is not a number."),
    ({"type": "number", "minimum": -(10**400)}, "is not a number."),
    ({"type": "number", "minimum": -1.79e308}, "-1.79e+308 is not a number."),
    ({"minimum": True}, "True is not a number."),
    ({"enum": []}, "[] should be non-empty."),
    ({"enum": list(range(1001))}, "too many enum values"),
    ({"enum": ["x" * 120_001]}, "too many characters in enum values"),
    ({"properties": {f"p{i}": {} for i in range(5001)}}, "too many properties"),
    ({"required": [1]}, "'required' is not an array of strings."),
]


@pytest.mark.parametrize(("schema", "reason"), FAULTS)
def test_an_invalid_schema_is_rejected_with_its_place(schema, reason):
    with pytest.raises(InvalidRequest) as raised:
        narrow(schema, SUBJECT)
    assert reason in raised.value.message
    assert len(raised.value.message) < 300


def places(value):
    if isinstance(value, dict | list):
        yield value
        for item in value.values() if isinstance(value, dict) else value:
            yield from places(item)


@pytest.mark.parametrize("strict", [True, False])
def test_a_spoilt_schema_is_narrowed_or_refused_and_nothing_else(strict):
    chance = random.Random(7)
    for _ in range(4000):
        schema = copy.deepcopy(chance.choice(SCHEMAS)[1])
        place = chance.choice(list(places(schema)))
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if keys:
            place[chance.choice(keys)] = chance.choice(ODD)
        with suppress(InvalidRequest):
            grammar_of(schema, strict=strict)


def test_the_schema_as_sent_is_left_alone():
    for _, schema in SCHEMAS:
        before = copy.deepcopy(schema)
        narrow(schema, SUBJECT)
        assert schema == before


def test_options_of_the_grammar_library_are_not_the_clients():
    assert narrow({"type": "null", "x-guidance": {"lenient": True}}, SUBJECT) == {"type": "null"}
