"""Tools that are not strict are never refused for a keyword: what can't be followed is left out."""

from __future__ import annotations

import json
from functools import cache

import pytest

from minikin.constrain.loosening import REFINING, any_object, looser, without
from minikin.constrain.masks import Masks
from minikin.constrain.plan import CallFrame, Plan, SchemaPart
from minikin.constrain.schema.subject import Subject
from minikin.constrain.worker import Vocabulary, begin
from tests.constrain.schemas import closed
from tests.constrain.walk import TOKENIZER, check, wander

SUBJECT = Subject("function 'f'", "tools[0].function.parameters", "invalid_function_parameters")
TEXT = {"type": "string"}
FLAG = {"type": "boolean"}
DRAFT = "http://json-schema.org/draft-07/schema#"


BARE = CallFrame("", "", "|", "", "", "")
"""A call is its function's name and its arguments: `f|{...}`."""


@cache
def verdicts():
    return begin(Vocabulary(TOKENIZER.free_bytes(), sorted(TOKENIZER.eos_ids)))


def part(schema, *, loose=True, name="f"):
    return SchemaPart(SUBJECT, schema, function=name, loose=loose)


def thing(**properties):
    return {"type": "object", "properties": properties, "required": list(properties)}


def verdict(schema, *, loose=True):
    return verdicts()(Plan(functions=(part(schema, loose=loose),), calls=BARE, may_answer=False))


def said(grammar, count=12):
    texts = [wander(grammar, seed, 800) for seed in range(count)]
    assert any(texts)
    return [json.loads(text.removeprefix("f|")) for text in texts if text]


LEFT_OUT = {
    "word boundary": (TEXT | {"pattern": r"^[ab]+\b.?$"}, TEXT | {"pattern": "^[ab]+.?$"}),
    "back reference": (TEXT | {"pattern": r"^(a|b)\1$"}, TEXT | {"pattern": "^[ab][ab]$"}),
    "look-behind": (TEXT | {"pattern": "^[ab]{1,3}(?<!b)$"}, TEXT | {"pattern": "^[ab]{1,3}$"}),
    "look-ahead within": (TEXT | {"pattern": "^a(?!b)[abc]$"}, TEXT | {"pattern": "^a[abc]$"}),
    "no regex": (TEXT | {"pattern": "(((", "maxLength": 3}, TEXT | {"maxLength": 3}),
    "unique": (
        {"type": "array", "items": TEXT, "uniqueItems": True, "minItems": 2, "maxItems": 3},
        {"type": "array", "items": TEXT, "minItems": 2, "maxItems": 3},
    ),
    "large divisor": ({"type": "integer", "multipleOf": 1_000_003}, {"type": "integer"}),
    "vast bound": ({"type": "number", "minimum": -1.7e308}, {"type": "number"}),
    "many values": (TEXT | {"enum": [f"v{i}" for i in range(1_001)]}, TEXT),
    "no such place": ({"$ref": "#/definitions/Gone", "type": "boolean"}, FLAG),
    "another document": ({"$ref": "https://example.com/a.json", "type": "boolean"}, FLAG),
    "contradiction": ({"type": "boolean", "not": FLAG}, FLAG),
    "pattern denied": (TEXT | {"not": {"pattern": "^a"}}, TEXT),
    "many contained": ({"type": "array", "contains": FLAG, "minContains": 99}, {"type": "array"}),
    "names": ({"type": "object", "minProperties": 99, "maxProperties": 3}, {"type": "object"}),
}  # fmt: skip
"""A schema that can't be followed, and what of it still holds."""


@pytest.mark.parametrize(("schema", "rest"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_an_unsupported_keyword_is_ignored_and_the_rest_holds(schema, rest):
    whole = thing(n={"type": "integer", "minimum": 7, "maximum": 9}, v=schema)
    found = verdict(whole)
    assert found.grammar, found.message
    for value in said(found.grammar):
        check(value, thing(n={"type": "integer", "minimum": 7, "maximum": 9}, v=rest))
    assert verdict(whole, loose=False).grammar is None


@pytest.mark.parametrize(
    "pattern",
    [
        r"^(?!\.)(?!.*\.\.)[a-c.]{1,5}$",
        r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$",
        r"^(?=.*[0-9])[a-c0-9]{2,8}$",
        r"^(?<year>\d{4})$",
        r"^(?!\s*$)[ab ]{1,4}$",
    ],
)
@pytest.mark.parametrize("loose", [True, False])
def test_a_look_ahead_at_the_beginning_is_followed(pattern, loose):
    schema = thing(v=TEXT | {"pattern": pattern, "maxLength": 12})
    found = verdict(schema, loose=loose)
    assert found.grammar, found.message
    python = schema if "?<" not in pattern else thing(v=TEXT | {"pattern": r"^\d{4}$"})
    for value in said(found.grammar):
        check(value, python)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "required": ["a"], "properties": {"a": False}},
        {
            "type": "object",
            "allOf": [{"properties": {"a": FLAG}}, {"maxProperties": 0, "minProperties": 2}],
        },
        {"type": "object", "properties": {f"p{i}": FLAG for i in range(5_001)}},
        {"type": "object", "$ref": "#"},
        {"type": "object", "anyOf": [False, False]},
    ],
    ids=lambda schema: json.dumps(schema)[:40],
)
def test_a_schema_that_nothing_matches_becomes_any_object(schema):
    found = verdict(schema)
    assert found.grammar, found.message
    assert all(isinstance(value, dict) for value in said(found.grammar, 4))


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "object", "properties": {"a": {"type": "strin"}}}, "'strin' is not valid"),
        ({"type": "object", "properties": []}, "is not an object"),
        ({"type": "object", "required": "a"}, "is not an array"),
        ({"type": "object", "properties": {"a": {"multipleOf": 0}}}, "must be above 0"),
    ],
)
def test_an_invalid_schema_is_rejected_anyway(schema, reason):
    found = verdict(schema)
    assert found.grammar is None
    assert reason in found.message


def test_only_the_schema_at_fault_is_loosened():
    frame = CallFrame("<call>", '{"name": "', '", "arguments": ', "}", ", ", "")
    bad = part(thing(v=TEXT | {"not": {"pattern": "a"}}), name="bad")
    good = part(thing(v={"enum": [1, 2]}), name="good")
    found = verdicts()(Plan(functions=(good, bad), calls=frame, may_answer=False))
    calls = [wander(found.grammar, seed, 800) for seed in range(20)]
    made = [json.loads(call.removeprefix("<call>")) for call in calls if call]
    assert {call["name"] for call in made} == {"good", "bad"}
    for call in made:
        assert call["name"] == "bad" or call["arguments"]["v"] in (1, 2)
    strict = part(thing(v=TEXT | {"not": {"pattern": "a"}}), name="bad", loose=False)
    assert verdicts()(Plan(functions=(good, strict), calls=frame)).message.startswith(
        "Invalid schema for function 'f': unsupported keywords: ['not']"
    )


def test_a_part_becomes_looser_a_keyword_at_a_time():
    schema = closed(a=TEXT | {"pattern": "^a$", "format": "date"}, oneOf=FLAG)
    schema["oneOf"] = [{"required": ["a"]}, {"required": ["oneOf"]}]
    forms = list(looser(part(schema)))
    assert [sorted(_used(form.schema)) for form in forms[:-1]] == [
        ["format", "oneOf", "pattern"],
        ["format", "pattern"],
        ["format", "oneOf"],
        ["oneOf", "pattern"],
        [],
    ]
    assert all(form.schema["properties"].keys() == {"a", "oneOf"} for form in forms[:-1])
    assert forms[1].schema["anyOf"] == schema["oneOf"]
    assert forms[-1] == any_object(part(schema))
    assert list(looser(part(schema, loose=False))) == [part(schema, loose=False)]


def _used(schema):
    return {key for key in REFINING if without(schema, {key}) != schema}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "object", "properties": {}},
        {"type": "object", "properties": {}, "required": [], "$schema": DRAFT},
        {"type": "object", "title": "Nothing", "description": "x", "additionalProperties": False},
        {"$ref": "#/$defs/a", "$defs": {"a": {"type": "object", "properties": {}}}},
        {"type": "object", "allOf": [{"type": "object"}]},
    ],
)  # fmt: skip
@pytest.mark.parametrize("loose", [True, False])
def test_a_function_without_described_parameters_has_none(schema, loose):
    found = verdict(schema, loose=loose)
    assert {wander(found.grammar, seed) for seed in range(8)} == {"f|{}"}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "additionalProperties": True},
        {"type": "object", "additionalProperties": FLAG},
        {"type": "object", "patternProperties": {"^[ab]+$": FLAG}},
        {"type": "object", "minProperties": 1},
        {"type": "object", "propertyNames": {"pattern": "^[ab]+$"}},
    ],
)
def test_free_parameters_that_a_schema_speaks_of_stay_free(schema):
    assert any(said(verdict(schema).grammar))


def test_an_object_within_stays_free_without_described_properties():
    values = said(verdict(thing(data={"type": "object"})).grammar, 30)
    assert any(value["data"] for value in values)


def test_an_answer_in_json_stays_free_without_described_properties():
    plan = Plan(answer=SchemaPart(SUBJECT, {"type": "object"}))
    assert any(said(verdicts()(plan).grammar, 30))


def test_a_mask_maker_reads_the_result():
    assert Masks(TOKENIZER).begin(verdict(thing(a=FLAG)).grammar).result() is not None
