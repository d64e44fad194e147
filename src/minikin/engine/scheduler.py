"""Decides what to run next: decode steps for running answers, chunks of new prompts."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sized
from collections.abc import Sequence as Run

from minikin.engine.block_pool import BlockPool
from minikin.engine.model.block import BLOCK
from minikin.engine.prefix_store import BLOCKS, UNIT, PrefixStore
from minikin.engine.sequence import Sequence
from minikin.engine.span import Span, by_kernel
from minikin.engine.states import States
from minikin.engine.turns import Turns, overtaking_room

GUESSED_ROWS = 8
"""Up to this number of rows in a step, including guesses, a row costs a fifth of a step."""
CALM_SECONDS = 10.0
"""So long after a step with a request in the foreground, steps in the background stay short."""
SHORT_ROWS = 8
"""Sequences in a short step. On a CPU, 32 take four times as long, and give hardly more tokens."""
SHORT_CHUNK = 32
"""Prompt tokens in a short step."""


class Scheduler:
    """Continuous batching: sequences join and leave at every step.

    Every sequence past its prompt gets one token in each step. Prompts, and spans that a grammar
    forces, share the rest of the step's budget. The oldest of them gets a quarter of it, so that it
    always progresses. The rest goes to the shortest first, so that small prompts do not wait behind
    a large one. Sequences start in turns between their owners (`turns.py`), and small ones can
    overtake one that waits for blocks. If there are no free blocks, the last sequence is preempted:
    it releases its blocks and is computed again later.

    Sequences in the background run only in steps without others. They keep their blocks until then,
    unless a sequence in the foreground needs the place or the blocks. A new one in the foreground
    waits for the step that runs, so steps in the background are short while such requests come.
    """

    def __init__(
        self,
        pool: BlockPool,
        states: States,
        *,
        context_length: int,
        max_running: int,
        prefill_chunk: int,
        apart: bool = False,
        store: PrefixStore | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pool = pool
        self.states = states
        self.context_length = context_length
        self.max_running = max_running
        self.prefill_chunk = prefill_chunk
        self.apart = apart
        """Whether repeatable sequences are computed apart from others (see `forward_apart`)."""
        self.store = store
        if store:
            store.watch(pool.holds, lambda: bool(self.running))
        self._owners = Turns()
        self.waiting: list[Sequence] = []
        self.running: list[Sequence] = []
        """Both in order of arrival, and all in the foreground before those in the background."""
        self._clock = clock
        self._foreground_at = -CALM_SECONDS
        """When the last step with a sequence in the foreground was."""
        self._turn = 0
        """Which of the sequences in the background are next in a short step."""

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence."""
        self.waiting.insert(bisect_right(self.waiting, sequence.gives_way, key=_rank), sequence)

    def remove(self, sequence: Sequence) -> None:
        """Remove a finished or cancelled sequence. Its blocks stay cached as a prefix."""
        if sequence in self.running:
            self.running.remove(sequence)
            self._release(sequence)
        else:
            self.waiting.remove(sequence)

    def schedule(self) -> list[Span]:
        """The spans of the next step: exact answers first, then prompts, then other answers.

        Empty if there is nothing to compute.
        """
        self._admit()
        chosen, budget = self._choose()
        # A later reservation never preempts an earlier sequence, because that one is before it.
        for sequence in [s for s in chosen if s.sampled]:
            self._reserve(sequence)
        active = self._restore([s for s in chosen if s.blocks], budget)
        singles = [s for s in active if s.pending == 1 + s.proven]
        chunks = self._prompt_chunks([s for s in active if s.pending > 1 + s.proven], budget)
        spare = 0 if chunks else _spare(singles)
        spans = [self._next_token(s, max(0, spare - s.proven)) for s in singles] + chunks
        self.states.reserve(spans)
        return by_kernel(spans)

    def ahead(self, spans: list[Span]) -> list[Span]:
        """The spans of the step after `spans`, whose next tokens are not known yet.

        `spans` are one token each of answers. Empty if what they choose can matter for the step: if
        another sequence can start, a guess may be right, or there are no free blocks.
        """
        foreground = [s for s in self.running if not s.gives_way]
        alive = [(row, s) for row, span in enumerate(spans) if (s := span.sequence).blocks]
        if len(alive) < len(foreground or self.running) or self._can_start():
            return []
        going = [(row, s) for row, s in alive if s.room(self.context_length) > 1]
        if any(self._guesses(s, _spare(going)) for _, s in going):
            return []
        for _, sequence in going:
            blocks = self.pool.allocate(
                _blocks_for(len(sequence.tokens) + 1) - len(sequence.blocks)
            )
            if blocks is None:
                return []
            sequence.blocks += blocks
        if foreground:
            self._foreground_at = self._clock()
        return by_kernel([Span(s, len(s.tokens), 1, fed=row) for row, s in going])

    def computed(self, spans: list[Span]) -> None:
        """Record that the spans' keys and values are now in the cache."""
        for span in spans:
            sequence = span.sequence
            sequence.computed, sequence.proven = span.end, 0
            alike = span.role == "prompt" and (sequence.repeatable or not self.apart)
            sequence.pure = sequence.pure and alike
            self._remember(sequence)
            self.states.advance(sequence)
            if span.start < len(sequence.request.prompt) <= span.end:
                self._keep(sequence)

    def check_integrity(self) -> None:
        """Raise CacheFault if the records of the cache do not match the sequences."""
        self.pool.check_integrity(block for s in self.running for block in s.blocks)
        self.states.check_integrity(self.running)

    def _choose(self) -> tuple[list[Sequence], int]:
        """The sequences that the next step can compute, and how many tokens of their prompts."""
        foreground = [s for s in self.running if not s.gives_way]
        if foreground:
            self._foreground_at = self._clock()
            return foreground, self.prefill_chunk
        count = len(self.running)
        if not count or self._clock() - self._foreground_at >= CALM_SECONDS:
            return list(self.running), self.prefill_chunk
        first, self._turn = self._turn % count, self._turn + SHORT_ROWS
        few = [s for at, s in enumerate(self.running) if (at - first) % count < SHORT_ROWS]
        return few, min(SHORT_CHUNK, self.prefill_chunk)

    def _admit(self) -> None:
        """Start waiting sequences while there are places and blocks.

        If one does not fit, smaller ones can overtake it, within limits that let it start.
        """
        blocked: Sequence | None = None
        for sequence in self._candidates():
            if sequence.gives_way and not all(s.gives_way for s in self.running):
                return
            if len(self.running) >= self.max_running and not self._push_aside(sequence):
                return
            if blocked and not self._may_overtake(sequence, blocked):
                continue
            if self._comes_soon(sequence):
                continue
            if self._start(sequence):
                sequence.overtook = blocked is not None
            else:
                blocked = blocked or sequence

    def _candidates(self) -> list[Sequence]:
        """The waiting sequences in their turn. None if nothing can start now."""
        full = len(self.running) >= self.max_running
        if not self.waiting or (full and not self.running[-1].gives_way):
            return []
        return self._owners.order(self.waiting, self.running)

    def _can_start(self) -> bool:
        """Whether a waiting sequence can run beside those that run now."""
        only_background = all(s.gives_way for s in self.running)
        return any(only_background or not s.gives_way for s in self._candidates())

    def _may_overtake(self, sequence: Sequence, blocked: Sequence) -> bool:
        """Whether a sequence can start before one that waits for blocks."""
        if sequence.gives_way:
            return False
        room = overtaking_room(self.pool, _blocks_for(len(blocked.tokens)), self.running)
        return _blocks_for(len(sequence.tokens)) <= room

    def _start(self, sequence: Sequence) -> bool:
        """Run a waiting sequence. Returns False if there are too few blocks."""
        known, node = self._match(sequence)
        need = _blocks_for(len(sequence.tokens)) - len(known)
        while (fresh := self.pool.allocate(need)) is None:
            if not self._push_aside(sequence):
                self.pool.release(known)
                return False
        self.waiting.remove(sequence)
        self._owners.started(sequence)
        at = bisect_right(self.running, sequence.gives_way, key=_rank)
        self.running.insert(at, sequence)
        sequence.blocks, sequence.prefix_node = known + fresh, node
        sequence.registered = len(known)
        sequence.computed = len(known) * BLOCK
        if not sequence.sampled:
            sequence.cached, sequence.restored = sequence.computed, 0
        if self.store:
            names = self.store.names(sequence.reusable, sequence.request.scope)
            sequence.stored_names, sequence.restoring = names, bool(names)
        self.states.begin(sequence, self.pool)
        return True

    def _restore(self, active: list[Sequence], budget: int) -> list[Sequence]:
        """Fill blocks from the store, for up to `budget` tokens, so that other answers never wait
        longer than for a prompt that is computed.

        Returns the sequences that the step can compute.
        """
        for sequence in active:
            while sequence.restoring and budget > 0:
                self._restore_unit(sequence)
                budget -= UNIT
        return [sequence for sequence in active if not sequence.restoring]

    def _restore_unit(self, sequence: Sequence) -> None:
        """Fill the next blocks of a sequence, up to the end of their unit, if it is stored."""
        unit = sequence.registered // BLOCKS
        blocks = sequence.blocks[sequence.registered : (unit + 1) * BLOCKS]
        names = sequence.stored_names[unit : unit + 1]
        if not (self.store and names and self.store.restore(names[0], blocks)):
            sequence.restoring = False
            return
        sequence.computed = (unit + 1) * UNIT
        self._remember(sequence)
        if not sequence.sampled:
            sequence.cached = sequence.computed
            sequence.restored += len(blocks) * BLOCK

    def _keep(self, sequence: Sequence) -> None:
        """Store the prompt of a sequence, which is computed.

        Prompts in the background can be many, and no client waits for them after a restart.
        """
        if self.store and sequence.stored_names and not (sequence.index or sequence.gives_way):
            request = sequence.request
            path = self.pool.path(request.prompt, request.scope, only_pure=True)
            self.store.keep(sequence.stored_names, path)

    def _match(self, sequence: Sequence) -> tuple[list[int], int]:
        """Reuse the cached blocks at the start of the sequence.

        Keys from an answer differ in their last bits from those of a prompt, so an answer that must
        be repeatable does not reuse them.
        """
        only_pure = sequence.repeatable
        known, node, pure = self.pool.match(
            sequence.reusable,
            sequence.request.scope,
            only_pure=only_pure,
            usable=self.states.usable,
        )
        sequence.pure = pure
        return known, node

    def _push_aside(self, sequence: Sequence) -> bool:
        """Preempt a sequence in the background for one in the foreground, if there is one."""
        if sequence.gives_way or not self.running or not self.running[-1].gives_way:
            return False
        self._preempt(self.running[-1])
        return True

    def _comes_soon(self, sequence: Sequence) -> bool:
        """Whether to wait for a running prompt that computes more of this one than is cached.

        A sequence in the foreground does not wait for one in the background, which may be paused.
        """
        for other in self.running:
            if (
                other.pending > 1
                and other.gives_way <= sequence.gives_way
                and other.request.scope == sequence.request.scope
                and (shared := _shared(other.tokens, sequence.reusable)) > other.computed
            ):
                self.states.expect(other, shared)
                return True
        return False

    def _prompt_chunks(self, prompts: list[Sequence], budget: int) -> list[Span]:
        if not prompts:
            return []
        oldest = prompts[0]
        # Apart from others, a chunk ends with a whole block.
        least = BLOCK if self.apart else 0
        grants = {id(oldest): min(oldest.pending, max(budget // 4, least))}
        left = max(0, budget - grants[id(oldest)])
        for sequence in sorted(prompts, key=lambda s: s.pending):
            more = min(sequence.pending - grants.get(id(sequence), 0), left)
            grants[id(sequence)] = grants.get(id(sequence), 0) + more
            left -= more
        chunks = [self._chunk(s, grants[id(s)]) for s in prompts]
        return [chunk for chunk in chunks if chunk.length]

    def _chunk(self, sequence: Sequence, length: int) -> Span:
        """A span of up to `length` tokens that ends with the prompt."""
        left = len(sequence.request.prompt) - sequence.computed
        if self.apart and left > length:
            length -= (sequence.computed + length) % BLOCK
        return Span(sequence, sequence.computed, min(length, left) if left > 0 else length)

    def _next_token(self, sequence: Sequence, spare: int) -> Span:
        """A span up to the last token, with as many guesses as there is room for."""
        guesses = self._guesses(sequence, spare)
        need = _blocks_for(len(sequence.tokens) + len(guesses)) - len(sequence.blocks)
        if need > 0:
            blocks = self.pool.allocate(need)
            if blocks is None:
                guesses = ()
            else:
                sequence.blocks += blocks
        return Span(sequence, sequence.computed, sequence.pending, guesses)

    def _guesses(self, sequence: Sequence, spare: int) -> tuple[int, ...]:
        """What may follow the last token, up to `spare` if the client predicted nothing."""
        if (spare or sequence.params.prediction) and not (self.apart and sequence.repeatable):
            return sequence.guess(self.context_length, spare)
        return ()

    def _reserve(self, sequence: Sequence) -> None:
        """Reserve blocks for the tokens of `sequence`, and preempt later ones if necessary.

        The sequence itself can be preempted, now or before.
        """
        need = _blocks_for(len(sequence.tokens)) - len(sequence.blocks)
        if not sequence.blocks or not need:
            return
        while (blocks := self.pool.allocate(need)) is None:
            last = self.running[-1]
            self._preempt(last)
            if last is sequence:
                return
        sequence.blocks += blocks

    def _preempt(self, sequence: Sequence) -> None:
        self.running.remove(sequence)
        self._release(sequence)
        self.waiting.insert(bisect_left(self.waiting, sequence.gives_way, key=_rank), sequence)

    def _release(self, sequence: Sequence) -> None:
        self.pool.release(sequence.blocks)
        self.states.end(sequence)
        sequence.blocks, sequence.computed, sequence.proven = [], 0, 0
        sequence.prefix_node, sequence.registered = 0, 0
        sequence.stored_names, sequence.restoring = [], False

    def _remember(self, sequence: Sequence) -> None:
        while (sequence.registered + 1) * BLOCK <= sequence.computed:
            start = sequence.registered * BLOCK
            sequence.prefix_node = self.pool.remember(
                sequence.prefix_node,
                sequence.tokens[start : start + BLOCK],
                sequence.blocks[sequence.registered],
                pure=sequence.pure,
            )
            sequence.registered += 1
            self.states.keep(sequence)


def _rank(sequence: Sequence) -> bool:
    return sequence.gives_way


def _shared(some: Run[int], others: Run[int]) -> int:
    """The number of common tokens of two prompts in full blocks, without their last tokens."""
    most = (min(len(some), len(others)) - 1) // BLOCK
    same = 0
    while (
        same < most
        and some[same * BLOCK : (same + 1) * BLOCK] == others[same * BLOCK : (same + 1) * BLOCK]
    ):
        same += 1
    return same * BLOCK


def _spare(answers: Sized) -> int:
    """How many guesses a step of these answers has room for, each."""
    return max(0, GUESSED_ROWS // max(1, len(answers)) - 1)


def _blocks_for(tokens: int) -> int:
    return -(-tokens // BLOCK)
