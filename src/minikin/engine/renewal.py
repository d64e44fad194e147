"""Computes finished answers again as prompts, so that the next turn can reuse them."""

from __future__ import annotations

from collections import deque

from minikin.engine.block_pool import BlockPool
from minikin.engine.model.block import BLOCK
from minikin.engine.sequence import Sequence
from minikin.engine.span import Span
from minikin.engine.states import States

MOST = 32
"""Maximum answers that wait to be computed again. The oldest are dropped."""


class Renewals:
    """The finished answers to compute again, one block at a time, while nothing else runs.

    Keys of an answer differ in their last bits from those of a prompt, so an answer that must be
    repeatable does not reuse them. The conversation probably continues, but somebody first reads
    the answer. That is time enough.
    """

    def __init__(self) -> None:
        self._finished: deque[Sequence] = deque(maxlen=MOST)

    def add(self, sequence: Sequence) -> None:
        """Note a sequence without blocks. The last one added is computed first."""
        self._finished.append(sequence)

    def begin(self, pool: BlockPool, states: States) -> Span | None:
        """The next block to compute, if there is one and the pool has room for it."""
        while self._finished:
            sequence = self._finished.pop()
            known, node, _ = pool.match(
                sequence.tokens, sequence.request.scope, only_pure=True, usable=states.usable
            )
            start = len(known) * BLOCK
            fresh = pool.allocate(1) if start + BLOCK < len(sequence.tokens) else None
            sequence.blocks = known + (fresh or [])
            if fresh:
                sequence.prefix_node, sequence.registered = node, len(known)
                sequence.computed, sequence.pure = start, True
                states.begin(sequence, pool)
                states.reserve([span := Span(sequence, start, BLOCK)])
                return span
            self.end(pool, states, sequence)
        return None

    def end(self, pool: BlockPool, states: States, sequence: Sequence) -> None:
        """Release the blocks and rooms of a sequence. They stay cached."""
        pool.release(sequence.blocks)
        states.end(sequence)
        sequence.blocks, sequence.computed = [], 0
