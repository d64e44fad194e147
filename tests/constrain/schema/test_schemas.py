from __future__ import annotations

import json

import pytest

from minikin.constrain import grammar
from minikin.constrain.plan import CallFrame, Plan, SchemaPart
from tests.constrain.schemas import FORMATS, SCHEMAS
from tests.constrain.walk import SUBJECT, check, grammar_of, wander


def test_there_are_over_200_schemas():
    assert len({name for name, _ in SCHEMAS}) == len(SCHEMAS) > 200


@pytest.mark.parametrize(("name", "schema"), SCHEMAS, ids=[name for name, _ in SCHEMAS])
def test_an_answer_that_ends_is_valid_with_every_model(name, schema):
    grammar = grammar_of(schema)
    answers = [wander(grammar, seed) for seed in range(8)]
    ended = [answer for answer in answers if answer is not None]
    assert len(ended) >= 4
    for answer in ended:
        check(json.loads(answer), schema)


def test_formats_are_spelled_in_many_ways():
    for name in FORMATS:
        grammar = grammar_of({"type": "string", "format": name})
        assert len({wander(grammar, seed) for seed in range(12)}) > 3, name


def test_json_object_is_always_an_object():
    grammar = grammar_of(None)
    for seed in range(40):
        answer = wander(grammar, seed)
        if answer is not None:
            assert isinstance(json.loads(answer), dict)


def test_keys_come_in_the_schemas_order():
    schema = dict(SCHEMAS)["key order"]
    assert list(json.loads(wander(grammar_of(schema), 1))) == ["z", "a", "m"]


def test_answers_have_single_spaces_and_strict_arguments_are_compact():
    schema = dict(SCHEMAS)["key order"]
    for strict in (True, False):
        assert wander(grammar_of(schema, strict=strict), 1).count('": ') == 3
        part = SchemaPart(SUBJECT, schema, strict, "call")
        frame = CallFrame("", "", "|", "", "", "")
        called = wander(grammar.grammar_of(Plan(calls=frame, functions=(part,))), 1)
        assert (" " in called) != strict
