"""The process that makes grammars and tries them out; it may be killed at any time.

Reads frames from standard input: the vocabulary as msgpack, then plans as JSON. Answers each plan
with a verdict.
"""

from __future__ import annotations

import os
import random
import resource
import struct
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from llguidance import LLTokenizer

from minikin.constrain.grammar import grammar_of
from minikin.constrain.matching import fault_of, matcher_tokenizer, new_matcher
from minikin.constrain.plan import Plan
from minikin.constrain.schema.subject import TOO_COMPLEX
from minikin.errors import InvalidRequest

MEMORY = 1024 * 1024 * 1024
"""Bytes of address space beyond what the vocabulary takes."""
MASK_SECONDS = 0.25
"""A step that takes longer foretells more that do."""
TRIAL_STEPS = 12
LENGTH = struct.Struct("<I")


class Vocabulary(msgspec.Struct, frozen=True):
    """The first frame."""

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


def main() -> None:
    """Serve until standard input ends."""
    os.nice(3)  # running answers come first
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the answers
    vocabulary = msgspec.msgpack.decode(_read(source), type=Vocabulary)
    tokenizer = _tokenizer(vocabulary)
    _limit_memory()
    while frame := _read(source):
        answer = msgspec.json.encode(_verdict(tokenizer, msgspec.json.decode(frame, type=Plan)))
        sink.write(LENGTH.pack(len(answer)) + answer)
        sink.flush()


def _limit_memory() -> None:
    statm = Path("/proc/self/statm")
    if statm.exists():
        pages = int(statm.read_text().split()[0])
        limit = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _verdict(tokenizer: LLTokenizer, plan: Plan) -> Verdict:
    try:
        grammar = grammar_of(plan)
    except InvalidRequest as error:
        return Verdict.against(error)
    if (fault := _fault(tokenizer, grammar)) is None:
        return Verdict(grammar)
    for part in plan.parts:
        own = fault
        if len(plan.parts) > 1:
            own = _fault(tokenizer, grammar_of(Plan(answer=part)))
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


def _read(source: Any) -> bytes:
    head = source.read(LENGTH.size)
    return source.read(LENGTH.unpack(head)[0]) if len(head) == LENGTH.size else b""


if __name__ == "__main__":
    main()
