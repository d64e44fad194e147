"""Answers of a model without any sense end in time; strings that repeat themselves are closed."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from minikin.constrain.closing import Closing
from minikin.constrain.grammar import grammar_of as grammar_of_plan
from minikin.constrain.plan import CallFrame, Plan, SchemaPart
from minikin.constrain.steering import is_cycle
from tests.constrain.schemas import SCHEMAS, closed, thing
from tests.constrain.test_closing import CLOSING
from tests.constrain.walk import EOS, SUBJECT, TOKENIZER, check, grammar_of, masks

TEXT = {"type": "string"}


def answer(grammar, room, choose, *, forced=True):
    """Text of tokens that `choose` picks among those allowed; None if `room` did not suffice."""
    mask = masks().begin(grammar).result().fresh()
    taken: list[int] = []
    while len(taken) < room:
        allowed = np.flatnonzero(mask.allowed(60.0)).tolist()
        token = mask.steer(choose(allowed, taken), room - len(taken))
        assert token in allowed
        if token == EOS:
            return b"".join(map(TOKENIZER.token_bytes, taken)).decode()
        taken += [token, *mask.accept(token, forced=forced)]
        if mask.finished:
            assert len(taken) < room, "there is no room for the end mark"
            return b"".join(map(TOKENIZER.token_bytes, taken)).decode()
    return None


def at_random(seed):
    chance = random.Random(seed)
    return lambda allowed, taken: chance.choice(allowed)


@pytest.mark.parametrize("forced", [True, False], ids=["forced", "logprobs"])
@pytest.mark.parametrize(("name", "schema"), SCHEMAS[::3], ids=[name for name, _ in SCHEMAS[::3]])
def test_an_answer_ends_in_any_room_that_holds_a_value(name, schema, forced):
    grammar = grammar_of(schema)
    shortest = CLOSING.way(masks().begin(grammar).result().fresh()._matcher, 2000)
    for room in (len(shortest) + 1, len(shortest) + 7, len(shortest) + 60):
        text = answer(grammar, room, at_random(room), forced=forced)
        assert text is not None, f"cut off with room for {room}"
        check(json.loads(text), schema)


def test_without_room_for_a_value_the_answer_is_cut_off():
    assert answer(grammar_of({"type": "string", "minLength": 50}), 8, at_random(1)) is None


def test_a_call_ends_in_time():
    form = CallFrame("<call>", '{"name": "', '", "arguments": ', "}", ",", "</call>")
    part = SchemaPart(
        SUBJECT, closed(city=TEXT, days={"type": "array", "items": TEXT}), True, "plan"
    )
    grammar = grammar_of_plan(Plan(None, (part,), form, may_answer=False))
    for room in (80, 100, 150):
        text = answer(grammar, room, at_random(room))
        call = json.loads(text.removeprefix("<call>").removesuffix("</call>"))
        assert set(call["arguments"]) == {"city", "days"}


@pytest.mark.parametrize("room", range(9, 24))
def test_a_name_is_not_closed_as_one_that_is_there_already(room):
    names = ["a" * size for size in range(1, 30)]
    said = "{" + "".join(f'"{name}": true, ' for name in names) + '"'
    mask = masks().begin(grammar_of(None)).result().fresh()
    for byte in said.encode():
        mask.accept(byte, forced=False)
    while not mask.finished:
        assert room > 0, said
        mask.allowed(60.0)
        token = mask.steer(ord("a"), room)
        taken = [token, *mask.accept(token, forced=True)]
        said += b"".join(map(TOKENIZER.token_bytes, taken)).decode()
        room -= len(taken)
    found = json.loads(said, object_pairs_hook=list)
    assert len(dict(found)) == len(found) == len(names) + 1


def test_a_search_in_vain_is_rarely_repeated(monkeypatch):
    searches = []
    monkeypatch.setattr(Closing, "way", lambda self, matcher, most: searches.append(most))
    grammar = grammar_of(thing(name=TEXT))
    letters = b"a search in vain would be made again, "

    def stuck(allowed, taken):
        token = letters[len(taken) % len(letters)]
        return token if token in allowed else allowed[0]

    assert answer(grammar, 200, stuck) is None
    assert 2 <= len(searches) <= 60


def test_text_that_may_end_anywhere_is_left_alone():
    form = CallFrame("<call>", '{"name": "', '", "arguments": ', "}", ",", "</call>")
    grammar = grammar_of_plan(
        Plan(None, (SchemaPart(SUBJECT, closed(city=TEXT), True, "f"),), form)
    )
    assert answer(grammar, 30, lambda allowed, taken: ord("a")) is None


def test_a_string_that_only_repeats_itself_is_closed():
    again = b"again and "

    def stuck(allowed, taken):
        token = again[len(taken) % len(again)]
        return token if token in allowed else allowed[0]

    text = answer(grammar_of(thing(note=TEXT)), 10_000, stuck)
    note = json.loads(text)["note"]
    assert 30 <= len(note) <= 200


@pytest.mark.parametrize("text", ["ab" * 40, "abcdefghij" * 5, "a" * 41])
def test_cycles(text):
    assert is_cycle(list(text.encode()[:-1]), text.encode()[-1])


@pytest.mark.parametrize(
    "text", ["ab" * 10, "the quick brown fox jumps over the lazy dog" * 2, "a" * 39 + "b", ""]
)
def test_sequences_that_are_not_a_cycle(text):
    assert not is_cycle(list(text.encode()), ord("a"))
