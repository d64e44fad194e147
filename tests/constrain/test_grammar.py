from __future__ import annotations

import json

import msgspec
import pytest

from minikin.chat.call_formats import (
    DEEPSEEK,
    ELEMENTS,
    GEMMA,
    GLM,
    GLM_IN_LINE,
    LFM2,
    LLAMA,
    MINICPM,
    MINIMAX,
    MISTRAL,
    MISTRAL_NAMED,
    OLMO,
    PHI,
    PHI_SINGLE,
    SEED,
    TAGGED,
    TAGGED_IN_LINE,
)
from minikin.chat.tool_calls import Arguments, CallBegun, CallReader, Content
from minikin.constrain.bare import are_bare
from minikin.constrain.elements import texts_in
from minikin.constrain.grammar import grammar_of
from minikin.constrain.keywords import are_keywords
from minikin.constrain.masks import MaskError
from minikin.constrain.plan import CallFrame, Plan, SchemaPart, ThoughtFrame
from minikin.marks import PARAMETER
from tests.constrain.schemas import FLAG, SHORT, closed
from tests.constrain.walk import EOS, SUBJECT, TOKENIZER, check, masks, wander

FUNCTIONS = {"f": closed(a=FLAG, b=SHORT), "g": closed()}
FORMS = {
    "tagged": TAGGED,
    "llama": LLAMA,
    "mistral": MISTRAL,
    "mistral, named": MISTRAL_NAMED,
    "phi": PHI,
    "phi, single": PHI_SINGLE,
    "deepseek": DEEPSEEK,
    "elements": ELEMENTS,
    "seed": SEED,
    "minimax": MINIMAX,
    "minicpm": MINICPM,
    "glm": GLM,
    "glm, in line": GLM_IN_LINE,
    "lfm2": LFM2,
    "olmo": OLMO,
    "gemma": GEMMA,
    "in line": TAGGED_IN_LINE,
}
MARKS = TOKENIZER.frame_marks


def plan(form, marks=(), **how):
    parts = tuple(
        SchemaPart(SUBJECT, schema, function=name, texts=texts_of(schema, form))
        for name, schema in FUNCTIONS.items()
    )
    calls = msgspec.convert(form, CallFrame, from_attributes=True)
    calls = msgspec.structs.replace(calls, marks=dict(marks))
    return Plan(functions=parts, calls=calls, **how)


def texts_of(schema, form):
    """As `answer_forms` does."""
    if form.elements:
        return texts_in(schema, form.elements)
    alone = (form.keywords and are_keywords(schema)) or (form.bare and are_bare(schema))
    return frozenset() if alone else None


def read(text, form):
    reader = CallReader(form, texts={n: texts_of(s, form) or () for n, s in FUNCTIONS.items()})
    return [*reader.feed(text), *reader.finish()]


def answers(plan, count=30):
    grammar = grammar_of(plan)
    return [said for seed in range(count) if (said := wander(grammar, seed)) is not None]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("marks", [{}, MARKS], ids=["spelt", "tokens"])
@pytest.mark.parametrize("several", [True, False])
def test_the_reader_reads_what_the_grammar_allows(form, marks, several):
    counts = set()
    for answer in answers(plan(form, marks, several=several, may_answer=False)):
        parts = read(answer, form)
        assert not any(isinstance(part, Content) for part in parts)
        names = [part.name for part in parts if isinstance(part, CallBegun)]
        arguments = [part.json for part in parts if isinstance(part, Arguments)]
        for name, written in zip(names, arguments, strict=True):
            check(json.loads(written), FUNCTIONS[name])
        counts.add(len(names))
    assert counts == {1} if not several else max(counts) > 1


def test_mistrals_calls_are_one_list():
    whole = [a for a in answers(plan(MISTRAL, several=True, may_answer=False)) if a[-1] == "]"]
    assert len(whole) > 5, "those that no repeated call has ended"
    for answer in whole:
        calls = json.loads(answer.removeprefix("[TOOL_CALLS] "))
        assert all(set(call) == {"name", "arguments"} for call in calls)


def test_json_of_a_schema_may_stand_in_place_of_a_call():
    answer = SchemaPart(SUBJECT, {"type": "integer"})
    said = answers(plan(TAGGED, answer=answer))
    assert {text.startswith("<tool_call>") for text in said} == {True, False}
    for text in said:
        assert text.startswith("<tool_call>") or isinstance(json.loads(text), int)


def after(plan, *said):
    """The tokens that may follow on texts, and marks that are tokens."""
    mask = masks().begin(grammar_of(plan)).result().fresh()
    for part in said:
        for token in [MARKS[part]] if part in MARKS else part.encode():
            mask.accept(token, forced=False)
    return {token for token, free in enumerate(mask.allowed(5.0)) if free}


@pytest.mark.parametrize("form", [f for f in FORMS.values() if f is not LLAMA])
def test_a_mark_that_is_a_token_is_written_as_that_token(form):
    first = next(mark for mark in MARKS if form.begin.startswith(mark))
    forced = plan(form, MARKS, may_answer=False)
    assert after(forced) == {MARKS[first]}
    free = after(plan(form, MARKS), "Wait")
    assert {MARKS[first], EOS, ord("!")} <= free
    assert len(free & set(MARKS.values())) == 1, "no other mark is free text"


def test_a_mark_that_is_spelt_out_begins_a_call_all_the_same():
    for said in (["[TOOL_CALLS]"], list("[TOOL_CALLS]")):
        assert after(plan(MISTRAL_NAMED, MARKS), "So: ", *said) == {ord("f"), ord("g")}


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("form", [TAGGED, LLAMA])
def test_thoughts_are_free_and_hold_no_calls(form, begun):
    thoughts = ThoughtFrame("<think>", "</think>", begun)
    bound = plan(form, MARKS, thoughts=thoughts)
    opening = "" if begun else " <think>"
    for said in (f"{opening}Hm", f"{opening}Hm {form.begin} x", f"{opening}<tool_call>\n"):
        free = after(bound, *said)
        assert {EOS, ord("x")} <= free, "they may be cut off"
        assert not free & set(MARKS.values())
        assert after(bound, *said, *"</think>") & set(MARKS.values()) or form is LLAMA
    with pytest.raises(MaskError):
        after(bound, *opening, "Hm", "<tool_call>")
    call = [*opening, *"Hm</think>\nSo ", *form.begin]
    head = "" if form is LLAMA else "\n<function=" if form is ELEMENTS else '\n{"name": "'
    assert after(bound, *call, head) == {ord("f"), ord("g")}
    if not begun:
        assert after(bound, *"Plainly ", *form.begin, head) == {ord("f"), ord("g")}


LABEL = {"type": "string", "enum": ["red", "light blue"]}
POINT = closed(x={"type": "integer", "minimum": 0, "maximum": 9})
SEVERAL = closed(text={"type": "string"}, label=LABEL, point={"$ref": "#/$defs/p"}, flag=FLAG)
SEVERAL |= {"required": ["text", "point"], "$defs": {"p": POINT}}


def element_plan(schema, **how):
    part = SchemaPart(SUBJECT, schema, function="f", texts=texts_in(schema, PARAMETER), **how)
    calls = msgspec.convert(ELEMENTS, CallFrame, from_attributes=True)
    return Plan(functions=(part,), calls=calls, may_answer=False)


def test_elements_have_text_as_it_is_and_other_values_as_json():
    assert texts_in(SEVERAL, PARAMETER) == {"text", "label"}
    seen = set()
    schema = SEVERAL | {"required": ["point"]}  # a random text would not end
    schema["properties"] = {k: v for k, v in SEVERAL["properties"].items() if k != "text"}
    for answer in answers(element_plan(schema)):
        reader = CallReader(ELEMENTS, texts={"f": texts_in(schema, PARAMETER)})
        parts = [*reader.feed(answer), *reader.finish()]
        arguments = json.loads("".join(p.json for p in parts if isinstance(p, Arguments)))
        check(arguments, schema)
        seen |= {tuple(arguments)}
    assert len(seen) > 1, "some have optional parameters"


def test_a_text_ends_at_its_line_and_holds_everything_else():
    text = '"quoted" {"a": 1, "a": 2}\n</parameter> <parameter=x>\n\\ end'
    said = f"<tool_call>\n<function=f>\n<parameter=text>\n{text}"
    grammar = element_plan(SEVERAL)
    assert ord("!") in after(grammar, said)
    assert after(grammar, f"{said}\n</parameter>\n<parameter=point>\n") == {ord("{")}
    assert after(grammar, f"{said}\n</parameter>\n") == {ord("<")}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": FLAG}, "minProperties": 1},
        {"type": "object", "properties": {"a": FLAG}, "anyOf": [{"required": ["a"]}]},
        {"type": "object", "properties": {"a>": FLAG}},
        {"type": "object", "additionalProperties": FLAG},
        {"type": "object", "properties": {"a": {"$ref": "#/properties/b"}, "b": FLAG}},
    ],
)
def test_arguments_that_are_not_described_one_by_one_stay_json(schema):
    assert texts_in(schema, PARAMETER) is None
    found = after(element_plan(schema), "<tool_call>\n<function=f>\n")
    assert {TOKENIZER.token_bytes(token)[:1] for token in found} == {b"{"}
