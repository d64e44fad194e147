"""What to run next: decode steps for those under way, prompt chunks for those that begin."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence as Run
from dataclasses import dataclass

from minikin.engine.block_pool import BlockPool
from minikin.engine.model.block import BLOCK
from minikin.engine.sequence import Sequence

GUESSED_ROWS = 8
"""Rows of a step, guesses looked up included, up to which a row costs a fifth of a step."""


@dataclass(frozen=True, slots=True)
class Span:
    """`length` tokens of a sequence, from `start` on, to compute in this step."""

    sequence: Sequence
    start: int
    length: int
    guesses: tuple[int, ...] = ()
    """Tokens that may follow the sequence's last one; computed too, and kept if they come true."""

    @property
    def rows(self) -> int:
        """Tokens to compute, guesses included."""
        return self.length + len(self.guesses)

    @property
    def samples(self) -> bool:
        """Whether the span ends with the sequence's last token, so that a new one follows."""
        return self.start + self.length == len(self.sequence.tokens)


class Scheduler:
    """Continuous batching: sequences join and leave at every step.

    Every sequence that is past its prompt gets its one token in each step. Prompts, and the spans
    that a grammar has forced, share what is left of the step's budget. The oldest of them gets a
    quarter of it, so that it always moves; the rest goes to the shortest first, so that small
    prompts don't wait behind a huge one.
    When blocks run out, the youngest sequence gives up its own and is computed again later.
    """

    def __init__(
        self, pool: BlockPool, *, context_length: int, max_running: int, prefill_chunk: int
    ) -> None:
        self.pool = pool
        self.context_length = context_length
        self.max_running = max_running
        self.prefill_chunk = prefill_chunk
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        """In order of arrival."""

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence."""
        self.waiting.append(sequence)

    def remove(self, sequence: Sequence) -> None:
        """Drop a sequence that is finished or cancelled; its blocks stay known as a prefix."""
        if sequence in self.running:
            self.running.remove(sequence)
            self._release(sequence)
        else:
            self.waiting.remove(sequence)

    def schedule(self) -> list[Span]:
        """The next step: single tokens first, then prompt chunks. Empty if there is nothing."""
        self._admit()
        # A later reservation never preempts an earlier sequence: it would be the older one.
        for sequence in [s for s in self.running if s.sampled]:
            self._reserve(sequence)
        singles = [s for s in self.running if s.pending == 1]
        chunks = self._prompt_chunks()
        spare = 0 if chunks or not singles else GUESSED_ROWS // len(singles) - 1
        spans = [self._next_token(s, max(0, spare)) for s in singles] + chunks
        return sorted(spans, key=lambda span: span.rows > 1)

    def computed(self, spans: list[Span]) -> None:
        """Take note that the spans' keys and values are in the cache now."""
        for span in spans:
            sequence = span.sequence
            sequence.computed = span.start + span.length
            self._remember(sequence)

    def check_integrity(self) -> None:
        """Raise CacheFault if the records of the cache are not those of what runs."""
        self.pool.check_integrity(block for s in self.running for block in s.blocks)

    def _admit(self) -> None:
        held = 0
        while held < len(self.waiting) and len(self.running) < self.max_running:
            sequence = self.waiting[held]
            if self._comes_soon(sequence):
                held += 1
                continue
            known, node = self.pool.match(sequence.tokens, sequence.request.scope)
            fresh = self.pool.allocate(_blocks_for(len(sequence.tokens)) - len(known))
            if fresh is None:
                self.pool.release(known)
                return
            del self.waiting[held]
            self.running.append(sequence)
            sequence.blocks, sequence.prefix_node = known + fresh, node
            sequence.registered = len(known)
            sequence.computed = len(known) * BLOCK
            if not sequence.sampled:
                sequence.cached = sequence.computed

    def _comes_soon(self, sequence: Sequence) -> bool:
        """Whether a prompt under way computes more of this one than is known: it is waited for."""
        return any(
            other.pending > 1
            and other.request.scope == sequence.request.scope
            and _shared(other.tokens, sequence.tokens) > other.computed
            for other in self.running
        )

    def _prompt_chunks(self) -> list[Span]:
        prompts = [s for s in self.running if s.pending > 1]
        if not prompts:
            return []
        budget = self.prefill_chunk
        oldest = prompts[0]
        grants = {id(oldest): min(oldest.pending, budget // 4)}
        left = budget - grants[id(oldest)]
        for sequence in sorted(prompts, key=lambda s: s.pending):
            more = min(sequence.pending - grants.get(id(sequence), 0), left)
            grants[id(sequence)] = grants.get(id(sequence), 0) + more
            left -= more
        return [Span(s, s.computed, grants[id(s)]) for s in prompts if grants[id(s)]]

    def _next_token(self, sequence: Sequence, spare: int) -> Span:
        """A span of one token, with the guesses that there is room for."""
        guesses = sequence.guess(self.context_length, spare)
        need = _blocks_for(len(sequence.tokens) + len(guesses)) - len(sequence.blocks)
        if need > 0:
            blocks = self.pool.allocate(need)
            if blocks is None:
                guesses = ()
            else:
                sequence.blocks += blocks
        return Span(sequence, sequence.computed, 1, guesses)

    def _reserve(self, sequence: Sequence) -> None:
        """Give `sequence` room for its tokens, at the cost of younger ones if need be.

        It may have to give way itself, or have done so already.
        """
        if sequence not in self.running:
            return
        need = _blocks_for(len(sequence.tokens)) - len(sequence.blocks)
        while (blocks := self.pool.allocate(need)) is None:
            youngest = self.running[-1]
            self._preempt(youngest)
            if youngest is sequence:
                return
        sequence.blocks += blocks

    def _preempt(self, sequence: Sequence) -> None:
        self.running.remove(sequence)
        self._release(sequence)
        self.waiting.appendleft(sequence)

    def _release(self, sequence: Sequence) -> None:
        self.pool.release(sequence.blocks)
        sequence.blocks, sequence.computed = [], 0
        sequence.prefix_node, sequence.registered = 0, 0

    def _remember(self, sequence: Sequence) -> None:
        while (sequence.registered + 1) * BLOCK <= sequence.computed:
            start = sequence.registered * BLOCK
            sequence.prefix_node = self.pool.remember(
                sequence.prefix_node,
                sequence.tokens[start : start + BLOCK],
                sequence.blocks[sequence.registered],
            )
            sequence.registered += 1


def _shared(some: Run[int], others: Run[int]) -> int:
    """How many tokens two prompts share, in whole blocks, each short of its last token."""
    most = (min(len(some), len(others)) - 1) // BLOCK
    same = 0
    while (
        same < most
        and some[same * BLOCK : (same + 1) * BLOCK] == others[same * BLOCK : (same + 1) * BLOCK]
    ):
        same += 1
    return same * BLOCK


def _blocks_for(tokens: int) -> int:
    return -(-tokens // BLOCK)
