"""The names of one object differ, even if the schema leaves them free."""

from __future__ import annotations

import json

import numpy as np
import pytest

from minikin.constrain import distinct
from minikin.constrain.grammar import grammar_of as grammar_of_plan
from minikin.constrain.plan import CallFrame, Plan, SchemaPart, ThoughtFrame
from minikin.marks import CHANNEL, END, MESSAGE, START
from tests.constrain.walk import EOS, SUBJECT, TOKENIZER, grammar_of, masks, wander

FLAG = {"type": "boolean"}
MARKS = list(TOKENIZER.frame_marks.values())


def named(*patterns, least=0, **more):
    """Free names of these patterns."""
    found = dict.fromkeys(patterns, FLAG)
    return {"type": "object", "patternProperties": found, "minProperties": least} | more


def pairs(text):
    """The names of every object in `text`. Raises if one comes twice."""
    found = []

    def once(items):
        names = [name for name, _ in items]
        assert len(set(names)) == len(names), text
        found.extend(names)
        return dict(items)

    json.loads(text, object_pairs_hook=once)
    return found


@pytest.mark.parametrize(
    "schema",
    [
        None,
        named("^[ab]$"),
        named("^[a-c]{1,2}$"),
        named("^(on|off)$", "^x$"),
        named("^a[0-9]-end$"),
        named("^[ab]{2}_id$"),
        {"type": "object", "additionalProperties": FLAG, "properties": {"a": FLAG, "ab": FLAG}},
        {"type": "object", "propertyNames": {"enum": ["a", "b"]}, "additionalProperties": FLAG},
        {"type": "array", "items": named("^[ab]{1,2}$"), "maxItems": 3},
    ],
    ids=json.dumps,
)
def test_a_random_model_writes_no_name_twice(schema):
    grammar = grammar_of(schema)
    counts = [len(pairs(text)) for seed in range(60) if (text := wander(grammar, seed))]
    assert max(counts) > 1


def after(grammar, *texts):
    """What may follow on the texts, taken byte by byte."""
    mask = masks().begin(grammar).result().fresh()
    for byte in "".join(texts).encode():
        mask.accept(byte, forced=False)
    return {token for token, free in enumerate(mask.allowed(5.0)) if free}


def spelled(tokens):
    return {TOKENIZER.token_bytes(token) for token in tokens}


def test_a_name_may_go_on_where_another_ends():
    grammar = grammar_of(None)
    again = spelled(after(grammar, '{"a": true, "a'))
    assert b'"' not in again
    assert b'":' not in again
    assert b"b" in again
    assert b'"' in spelled(after(grammar, '{"a": true, "ab'))
    assert b'"' in spelled(after(grammar, '{"a": {"a'))
    assert b'"' in spelled(after(grammar, '{"a": "a'))


def test_a_token_that_allows_no_new_name_is_excluded():
    grammar = grammar_of(named("^[a-z][0-9]_id$", "^[a-z]{9}$", maxProperties=20))
    done = "".join(f'"a{digit}_id": true, ' for digit in range(10))
    assert spelled(after(grammar, "{", done, '"')) & {b"a", b"b"} == {b"a", b"b"}
    assert not spelled(after(grammar, "{", done, '"a')) & {b"%d" % digit for digit in range(10)}
    assert b"a" in spelled(after(grammar, "{", done, '"a'))
    assert spelled(after(grammar, "{", done[:15], '"a')) >= {b"1", b"9"}


def test_a_name_as_long_as_they_may_be_is_not_completed_again(monkeypatch):
    monkeypatch.setattr(distinct, "FEW", 0)  # as in a large vocabulary
    grammar = grammar_of(None)
    long = "a" * 63
    assert b"0" in spelled(after(grammar, f'{{"{long}1": true, "{long}'))
    assert b"1" not in spelled(after(grammar, f'{{"{long}1": true, "{long}'))
    short = "a" * 59
    assert b"00000" not in spelled(after(grammar, f'{{"{short}00000": true, "{short}'))


def test_an_answer_goes_on_even_if_no_name_is_left():
    grammar = grammar_of(named("^[^b-z]$", maxProperties=500))
    assert after(grammar, '{"a": true, "a') == {ord('"'), *after(grammar, '{"a": true, "a')}


def test_the_search_for_a_new_name_has_an_end(monkeypatch):
    monkeypatch.setattr(distinct, "MAX_STEPS", 2)
    grammar = grammar_of(named("^[ab]{30}$"))
    assert after(grammar, '{"', "a" * 30, '": true, "', "a" * 29) == {ord("b")}


FRAME = CallFrame("<call>", '{"name": "', '", "arguments": ', "}", ", ", "")


def plan(**how):
    schema = {"type": "object", "additionalProperties": FLAG}
    return Plan(functions=(SchemaPart(SUBJECT, schema, function="f"),), calls=FRAME, **how)


@pytest.mark.parametrize("words", ["", 'So {"a', '[{ "', "<ca"])
def test_text_before_a_call_is_not_json(words):
    grammar = grammar_of_plan(plan())
    call = f'{words}<call>{{"name": "f", "arguments": {{"a": true, "a'
    assert ord('"') not in after(grammar, call)
    assert ord("b") in after(grammar, call)
    free = after(grammar, words, ' {"a": 1, "a')
    assert {ord('"'), EOS} <= free


@pytest.mark.parametrize("begun", [True, False])
def test_thoughts_before_a_call_are_no_json(begun):
    grammar = grammar_of_plan(plan(thoughts=ThoughtFrame("<think>", "</think>", begun)))
    thought = ("" if begun else " <think>") + 'Hm <call>{"name": "f", "arguments": {"a": 1, "a'
    assert ord('"') in after(grammar, thought)
    call = '</think> So <call>{"name": "f", "arguments": {"a": true, "a'
    assert ord('"') not in after(grammar, thought, call)
    assert ord("b") in after(grammar, thought, call)
    if not begun:
        assert ord('"') not in after(grammar, " <thin", call.removeprefix("</think>"))


def test_an_answer_in_channels_begins_with_its_header():
    marks = {mark: MARKS[at] for at, mark in enumerate((CHANNEL, MESSAGE, END, START))}
    answer = Plan(answer=SchemaPart(SUBJECT, None), channels=marks)
    mask = masks().begin(grammar_of_plan(answer)).result().fresh()
    thought = [marks[CHANNEL], *b"analysis", marks[MESSAGE], *b'{"a": "a', marks[END], marks[START]]
    final = [*b"assistant", marks[CHANNEL], *b"final", marks[MESSAGE], *b'{"a": 1, "a']
    for token in [*thought, *final]:
        mask.accept(token, forced=False)
    assert not mask.allowed(5.0)[ord('"')]
    assert mask.allowed(5.0)[ord("b")]


def test_the_first_call_that_comes_again_ends_the_answer():
    mask = masks().begin(grammar_of_plan(plan(several=True, may_answer=False))).result().fresh()
    call = '{"name": "f", "arguments": {"a": true}}'
    other = '{"name": "f", "arguments": {"a": false}}'
    said = f"<call>{call}, {other}, {call[:-1]}"
    for at, byte in enumerate(said.encode()):
        assert not mask.finished, said[:at]
        mask.accept(byte, forced=False)
    assert mask.finished
    assert not mask.fresh().finished


def test_an_answer_that_only_looks_like_calls_does_not_end():
    item = {"type": "object", "properties": {"name": {"type": "string"}, "arguments": {}}}
    answer = SchemaPart(SUBJECT, {"type": "array", "items": item})
    mask = masks().begin(grammar_of_plan(plan(answer=answer, several=True))).result().fresh()
    for byte in b'[{"name": "f", "arguments": {}}, {"name": "f", "arguments": {}}':
        mask.accept(byte, forced=False)
    assert not mask.finished
    assert np.count_nonzero(mask.allowed(5.0)) > 0
