"""The process that makes and tests grammars. It ends if a grammar exceeds a limit."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import msgspec
import numpy as np
from llguidance import LLTokenizer

from minikin.bounded.worker import serve
from minikin.constrain.grammar import constraint_of
from minikin.constrain.loosening import any_object, looser
from minikin.constrain.matching import fault_of, matcher_tokenizer, new_matcher
from minikin.constrain.plan import Plan, SchemaPart
from minikin.constrain.schema.subject import TOO_COMPLEX, Subject, Unfollowable
from minikin.errors import InvalidRequest

MASK_SECONDS = 0.25
"""If one step needs longer, other steps probably do too."""
TRIAL_STEPS = 12
SIMPLE = Plan(answer=SchemaPart(Subject("", ""), {"type": "object"}))
"""A cheap plan."""


class Vocabulary(msgspec.Struct, frozen=True):
    """The tokens for grammars."""

    tokens: list[bytes]
    eos_ids: list[int]


class Verdict(msgspec.Struct, frozen=True):
    """A plan's grammar, or the fields of the error that rejects it."""

    grammar: str | None = None
    message: str = ""
    param: str | None = None
    code: str | None = None

    @classmethod
    def against(cls, error: InvalidRequest) -> Verdict:
        """A verdict that rejects the plan."""
        return cls(message=error.message, param=error.param, code=error.code)


def begin(vocabulary: Vocabulary) -> Callable[[Plan], Verdict]:
    """The function that returns the verdict on each plan."""
    tokenizer = _tokenizer(vocabulary)
    verdict_on(tokenizer, SIMPLE)  # After this, the time belongs to the grammar.
    return lambda plan: verdict_on(tokenizer, plan)


def verdict_on(tokenizer: LLTokenizer, plan: Plan) -> Verdict:
    """A plan's tested grammar, or the error with the schema that caused it.

    Parts that can be loosened are loosened as far as necessary.
    """
    try:
        return _accepted(tokenizer, plan)
    except InvalidRequest as error:
        if not plan.functions:
            return Verdict.against(error)
    try:
        parts = [_followable(tokenizer, part) for part in plan.parts]
    except InvalidRequest as error:
        return Verdict.against(error)
    loosest = [any_object(part) if part.loose else part for part in parts]
    for last, tried in enumerate((parts, loosest)):
        try:
            return _accepted(tokenizer, plan.with_parts(tried))
        except InvalidRequest as error:
            if last:
                return Verdict.against(error)
    raise AssertionError("one of two is the last")


def _accepted(tokenizer: LLTokenizer, plan: Plan) -> Verdict:
    """A plan's tested grammar. Raises InvalidRequest if there is none, or it cannot be followed."""
    constraint = constraint_of(plan)
    if (fault := _fault(tokenizer, constraint.grammar)) is None:
        return Verdict(str(constraint))
    if plan.functions:
        raise InvalidRequest(f"Invalid 'tools': together, {_told(fault)}", param="tools")
    raise _refusal(plan.parts[0], fault)


def _followable(tokenizer: LLTokenizer, part: SchemaPart) -> SchemaPart:
    """The part, loosened if necessary. Raises InvalidRequest if that is impossible."""
    refusal: InvalidRequest = part.subject.too_complex()
    for tried in looser(part):
        try:
            _accepted(tokenizer, Plan(answer=tried))
        except Unfollowable as error:
            refusal = error
        else:
            return tried
    raise refusal


def _refusal(part: SchemaPart, fault: str) -> Unfollowable:
    told = _told(fault)
    return part.subject.too_complex() if told == TOO_COMPLEX else part.subject.unfollowable(told)


def _told(fault: str) -> str:
    """A fault for the client, without any text of the grammar."""
    return fault if fault.startswith(("no value", "unsupported keywords")) else TOO_COMPLEX


def _fault(tokenizer: LLTokenizer, grammar: str) -> str | None:
    """The reason why `grammar` is not usable, found with a few steps. None if it is."""
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
    """A tokenizer with a simple encoder: any tokens of a text are enough to test a grammar."""
    made: list[LLTokenizer] = []

    def encode(text: str) -> list[int]:
        return made[0].greedy_tokenize(text)

    made.append(matcher_tokenizer(vocabulary.tokens, vocabulary.eos_ids, encode))
    return made[0]


if __name__ == "__main__":
    serve(Vocabulary, Plan, begin)
