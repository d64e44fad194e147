"""Grammars of answers in channels, walked through at random and read as clients see them."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from minikin.chat.call_formats import HARMONY
from minikin.chat.harmony import HarmonyReader
from minikin.chat.thoughts import Thought
from minikin.chat.tool_calls import Arguments, CallBegun, CallReader, Content
from minikin.constrain.grammar import grammar_of
from minikin.constrain.masks import Masks
from minikin.constrain.plan import CallFrame, Plan, SchemaPart
from tests.constrain.walk import SUBJECT

MARKS = ("<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|constrain|>")
RETURN, CALL = 256, 257
CHANNELS = {mark: 258 + at for at, mark in enumerate(MARKS)}
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "string", "maxLength": 4}},
    "required": ["a"],
    "additionalProperties": False,
}
FUNCTIONS = tuple(SchemaPart(SUBJECT, SCHEMA, function=name) for name in ("f", "g"))
CALLS = CallFrame(
    begin=HARMONY.begin,
    before_name=HARMONY.before_name,
    before_arguments=HARMONY.before_arguments,
    end=HARMONY.end,
    again=HARMONY.again,
    close=HARMONY.close,
)


class Tokens:
    """Token i is the byte i; two tokens end an answer; the marks come last."""

    vocab_size = 258 + len(MARKS)
    eos_ids = frozenset({RETURN, CALL})

    def encode(self, text):
        return list(text.encode() if isinstance(text, str) else text)

    def free_bytes(self):
        return [bytes([i]) if i < 256 else b"" for i in range(self.vocab_size)]

    def token_bytes(self, token):
        if token < 256:
            return bytes([token])
        return MARKS[token - 258].encode() if token >= 258 else b""


@pytest.fixture(scope="module")
def masks():
    return Masks(Tokens())


def wander(masks, plan, seed):
    """An answer of random tokens; marks and ends are likelier, or it would never end."""
    chance, tokens = random.Random(seed), Tokens()
    mask = masks.begin(grammar_of(plan)).result().fresh()
    text = b""
    for _ in range(400):
        allowed = np.flatnonzero(mask.allowed(60.0)).tolist()
        closing = [token for token in allowed if token >= 256 or token in b'"}']
        token = chance.choice(closing if closing and chance.random() < 0.3 else allowed)
        if token in (RETURN, CALL):
            return text.decode(errors="replace")
        for taken in (token, *mask.accept(token, forced=True)):
            text += tokens.token_bytes(taken)
        if mask.finished:
            return text.decode(errors="replace")
    return None


def parts_of(text):
    reader, calls = HarmonyReader(), CallReader(HARMONY)
    for part in reader.feed(text) + reader.finish():
        yield from [part] if isinstance(part, Thought) else calls.feed(part.text)
    yield from calls.finish()


def texts(masks, plan):
    found = [wander(masks, plan, seed) for seed in range(30)]
    whole = [text for text in found if text is not None]
    assert len(whole) > 20
    return whole


def test_an_answer_with_a_format_is_json_in_the_final_channel_after_reasoning(masks):
    answers = texts(masks, Plan(SchemaPart(SUBJECT, SCHEMA), channels=CHANNELS))
    for text in answers:
        words = "".join(part.text for part in parts_of(text) if isinstance(part, Content))
        assert set(json.loads(words)) == {"a"}
    assert {text.startswith("<|channel|>analysis") for text in answers} == {True, False}


@pytest.mark.parametrize("functions", [FUNCTIONS, FUNCTIONS[:1]])
def test_a_call_that_must_be_made_is_made(masks, functions):
    plan = Plan(None, functions, CALLS, may_answer=False, channels=CHANNELS)
    names = set()
    for text in texts(masks, plan):
        begun, *arguments = [part for part in parts_of(text) if not isinstance(part, Thought)]
        assert isinstance(begun, CallBegun), text
        names.add(begun.name)
        assert all(isinstance(part, Arguments) for part in arguments)
        assert set(json.loads("".join(part.json for part in arguments))) == {"a"}
    assert names == {part.function for part in functions}


def test_words_may_take_the_place_of_a_call(masks):
    answers = texts(masks, Plan(None, FUNCTIONS, CALLS, channels=CHANNELS))
    for header in ("analysis<|message|>", "to=functions.", "final<|message|>", "commentary<|mess"):
        assert any(header in text for text in answers)


def test_free_text_holds_no_marks(masks):
    plan = Plan(None, FUNCTIONS, CALLS, channels=CHANNELS)
    mask = masks.begin(grammar_of(plan)).result().fresh()
    for token in (CHANNELS["<|channel|>"], *b"final", CHANNELS["<|message|>"], *b"x"):
        mask.accept(token, forced=False)
    allowed = set(np.flatnonzero(mask.allowed(60.0)).tolist())
    assert allowed.isdisjoint(CHANNELS.values())
    assert {RETURN, CALL, ord("y")} <= allowed
