"""The process that makes grammars and tries them out; one that takes too much ends it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import msgspec
import numpy as np
from llguidance import LLTokenizer

from minikin.bounded.worker import serve
from minikin.constrain.grammar import constraint_of
from minikin.constrain.matching import fault_of, matcher_tokenizer, new_matcher
from minikin.constrain.plan import Plan, SchemaPart
from minikin.constrain.schema.subject import TOO_COMPLEX, Subject
from minikin.errors import InvalidRequest

MASK_SECONDS = 0.25
"""A step that takes longer foretells more that do."""
TRIAL_STEPS = 12
SIMPLE = Plan(answer=SchemaPart(Subject("", ""), {"type": "object"}))
"""A plan that costs nothing."""


class Vocabulary(msgspec.Struct, frozen=True):
    """What a grammar's tokens are."""

    tokens: list[bytes]
    eos_ids: list[int]


class Verdict(msgspec.Struct, frozen=True):
    """A plan's grammar, or the fields of the error that refuses it."""

    grammar: str | None = None
    message: str = ""
    param: str | None = None
    code: str | None = None

    @classmethod
    def against(cls, error: InvalidRequest) -> Verdict:
        """A refusal."""
        return cls(message=error.message, param=error.param, code=error.code)


def begin(vocabulary: Vocabulary) -> Callable[[Plan], Verdict]:
    """What gives the verdict on each plan."""
    tokenizer = _tokenizer(vocabulary)
    verdict_on(tokenizer, SIMPLE)  # From here on the time is the grammar's own.
    return lambda plan: verdict_on(tokenizer, plan)


def verdict_on(tokenizer: LLTokenizer, plan: Plan) -> Verdict:
    """A plan's grammar, tried out; or the refusal that names the schema at fault."""
    try:
        constraint = constraint_of(plan)
    except InvalidRequest as error:
        return Verdict.against(error)
    if (fault := _fault(tokenizer, constraint.grammar)) is None:
        return Verdict(str(constraint))
    for part in plan.parts:
        own = fault
        if len(plan.parts) > 1:
            own = _fault(tokenizer, constraint_of(Plan(answer=part)).grammar)
        if own:
            subject = part.subject
            refusal = subject.too_complex() if own == TOO_COMPLEX else subject.fault(own)
            return Verdict.against(refusal)
    return Verdict.against(InvalidRequest(f"Invalid 'tools': together, {fault}", param="tools"))


def _fault(tokenizer: LLTokenizer, grammar: str) -> str | None:
    """Why `grammar` can't be followed, as far as a short walk through it shows."""
    matcher = new_matcher(tokenizer, grammar)
    chance = random.Random(0)
    for _ in range(TRIAL_STEPS):
        start = time.process_time()
        bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
        if fault := fault_of(matcher):
            return fault
        allowed = np.flatnonzero(np.unpackbits(bits, bitorder="little", count=tokenizer.vocab_size))
        matcher.consume_token(chance.choice(allowed.tolist()))
        if time.process_time() - start > MASK_SECONDS:
            return TOO_COMPLEX
        if matcher.is_stopped():
            break
    return fault_of(matcher)


def _tokenizer(vocabulary: Vocabulary) -> LLTokenizer:
    """With an encoder of its own: any tokens that spell a text will do to try a grammar out."""
    made: list[LLTokenizer] = []

    def encode(text: str) -> list[int]:
        return made[0].greedy_tokenize(text)

    made.append(matcher_tokenizer(vocabulary.tokens, vocabulary.eos_ids, encode))
    return made[0]


if __name__ == "__main__":
    serve(Vocabulary, Plan, begin)
