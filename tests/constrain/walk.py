"""A model without any sense: it takes any token that a grammar allows."""

from __future__ import annotations

import random
from functools import cache
from types import MappingProxyType
from typing import Any

import jsonschema
import numpy as np

from minikin.constrain import grammar
from minikin.constrain.masks import Masks
from minikin.constrain.plan import Plan, SchemaPart
from minikin.constrain.schema.subject import Subject

SUBJECT = Subject("response_format 'x'", "response_format")
EOS = 256


class Bytes:
    """Token i is the byte i, and some longer tokens; 256 ends the answer."""

    _WORDS = (
        b'":',
        b'", "',
        b"{}",
        b"[]",
        b'{"',
        b"00000",
        b"    ",
        b"\n\n",
        b"true",
        b"e5",
        b"<|",
    )
    _MARKS = (
        "<tool_call>",
        "</tool_call>",
        "[TOOL_CALLS]",
        "[ARGS]",
        "<|tool_call|>",
        "<|/tool_call|>",
        "<｜tool▁calls▁begin｜>",
        "<｜tool▁call▁begin｜>",
        "<｜tool▁sep｜>",
        "<｜tool▁call▁end｜>",
        "<｜tool▁calls▁end｜>",
        "<seed:tool_call>",
        "<minimax:tool_call>",
        "<function",
        "<![CDATA[",
        "<|tool_call_start|>",
        "<function_calls>",
        "<arg_key>",
        "</arg_key>",
        "<arg_value>",
        "</arg_value>",
        "<|tool_call>",
        "<tool_call|>",
        '<|"|>',
    )
    vocab_size = 257 + len(_WORDS) + len(_MARKS)
    eos_ids = frozenset({EOS})
    frame_marks = MappingProxyType({mark: 257 + 11 + i for i, mark in enumerate(_MARKS)})
    """Their ids come last."""

    def encode(self, text):
        return list(text.encode() if isinstance(text, str) else text)

    def free_bytes(self):
        marks = self.frame_marks.values()
        return [b"" if i in marks else self.token_bytes(i) for i in range(self.vocab_size)]

    def token_bytes(self, token):
        if token == EOS:
            return b""
        marks = [mark.encode() for mark in self._MARKS]
        return bytes([token]) if token < EOS else [*self._WORDS, *marks][token - EOS - 1]


CLOSING = tuple(b'"}]')
TOKENIZER = Bytes()


@cache
def masks() -> Masks:
    return Masks(TOKENIZER)


def plan_of(schema: dict[str, Any] | None, *, strict: bool = False) -> Plan:
    return Plan(answer=SchemaPart(SUBJECT, schema, strict))


def grammar_of(schema: dict[str, Any] | None, *, strict: bool = False) -> str:
    return grammar.grammar_of(plan_of(schema, strict=strict))


def wander(grammar: str, seed: int, most: int = 400) -> str | None:
    """Text of random tokens that `grammar` allows; None if `most` tokens don't end it.

    The tokens that end strings, lists and the answer are likelier, or it would never end.
    """
    chance = random.Random(seed)
    mask = masks().begin(grammar).result().fresh()
    text = b""
    for _ in range(most):
        allowed = np.flatnonzero(mask.allowed(60.0))
        assert len(allowed)
        closing = [token for token in allowed.tolist() if token == EOS or token in CLOSING]
        wanted = closing if closing and chance.random() < 0.3 else allowed.tolist()
        token = chance.choice(wanted)
        if token == EOS:
            return text.decode()
        for taken in (token, *mask.accept(token, forced=True)):
            text += TOKENIZER.token_bytes(taken)
        if mask.finished:
            return text.decode()
    return None


def check(value: Any, schema: dict[str, Any]) -> None:
    """Raises jsonschema.ValidationError, formats included."""
    kind = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
    kind(schema, format_checker=kind.FORMAT_CHECKER).validate(value)
