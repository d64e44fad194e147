"""The process that tries a grammar out before anyone depends on it; it may be killed at any time.

Reads msgpack frames from standard input: the vocabulary, then grammars. Answers each grammar with
the reason against it, or None.
"""

from __future__ import annotations

import os
import resource
import struct
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
from llguidance import LLTokenizer

from minikin.constrain.matching import fault_of, matcher_tokenizer, new_matcher
from minikin.constrain.subject import TOO_COMPLEX

MEMORY = 1024 * 1024 * 1024
"""Bytes of address space beyond what the vocabulary takes."""
MASK_SECONDS = 0.25
"""A first mask that takes longer foretells steps that take longer."""
LENGTH = struct.Struct("<I")


class Vocabulary(msgspec.Struct, frozen=True):
    """The first frame."""

    tokens: list[bytes]
    eos_ids: list[int]


def main() -> None:
    """Serve until standard input ends."""
    os.nice(3)  # running answers come first
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the answers
    vocabulary = msgspec.msgpack.decode(_read(source), type=Vocabulary)
    tokenizer = _tokenizer(vocabulary)
    _limit_memory()
    while frame := _read(source):
        answer = msgspec.msgpack.encode(_fault(tokenizer, frame.decode()))
        sink.write(LENGTH.pack(len(answer)) + answer)
        sink.flush()


def _limit_memory() -> None:
    statm = Path("/proc/self/statm")
    if statm.exists():
        pages = int(statm.read_text().split()[0])
        limit = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _fault(tokenizer: LLTokenizer, grammar: str) -> str | None:
    matcher = new_matcher(tokenizer, grammar)
    if fault := fault_of(matcher):
        return fault
    start = time.process_time()
    matcher.compute_bitmask()
    if fault := fault_of(matcher):
        return fault
    return TOO_COMPLEX if time.process_time() - start > MASK_SECONDS else None


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
