from __future__ import annotations

import json

import msgspec
import pytest

from minikin.chat.call_formats import LLAMA, MISTRAL, TAGGED
from minikin.chat.tool_calls import Arguments, CallBegun, CallReader, Text
from minikin.constrain.grammar import grammar_of
from minikin.constrain.plan import CallForm, Part, Plan
from tests.constrain.schemas import FLAG, SHORT, closed
from tests.constrain.walk import SUBJECT, check, wander

FUNCTIONS = {"f": closed(a=FLAG, b=SHORT), "g": closed()}


def plan(form, **how):
    parts = tuple(Part(SUBJECT, schema, function=name) for name, schema in FUNCTIONS.items())
    return Plan(functions=parts, calls=msgspec.convert(form, CallForm, from_attributes=True), **how)


def read(text, form):
    reader = CallReader(form)
    return [*reader.feed(text), *reader.finish()]


def answers(plan, count=30):
    grammar = grammar_of(plan)
    return [said for seed in range(count) if (said := wander(grammar, seed)) is not None]


@pytest.mark.parametrize("form", [TAGGED, LLAMA, MISTRAL], ids=["tagged", "llama", "mistral"])
@pytest.mark.parametrize("several", [True, False])
def test_what_the_grammar_allows_the_reader_reads(form, several):
    counts = set()
    for answer in answers(plan(form, several=several, may_answer=False)):
        parts = read(answer, form)
        assert not any(isinstance(part, Text) for part in parts)
        names = [part.name for part in parts if isinstance(part, CallBegun)]
        arguments = [part.json for part in parts if isinstance(part, Arguments)]
        for name, written in zip(names, arguments, strict=True):
            check(json.loads(written), FUNCTIONS[name])
        counts.add(len(names))
    assert counts == {1} if not several else max(counts) > 1


def test_mistrals_calls_are_one_list():
    for answer in answers(plan(MISTRAL, several=True, may_answer=False)):
        calls = json.loads(answer.removeprefix("[TOOL_CALLS] "))
        assert all(set(call) == {"name", "arguments"} for call in calls)


def test_json_of_a_schema_may_stand_in_place_of_a_call():
    answer = Part(SUBJECT, {"type": "integer"})
    said = answers(plan(TAGGED, answer=answer))
    assert {text.startswith("<tool_call>") for text in said} == {True, False}
    for text in said:
        assert text.startswith("<tool_call>") or isinstance(json.loads(text), int)
