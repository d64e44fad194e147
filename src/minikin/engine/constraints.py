"""Requests with a grammar: waiting for its compilation, and for the masks of each step."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field

import numpy as np

from minikin.engine.mask import Mask, MaskMaker
from minikin.engine.messages import GenerationRequest
from minikin.engine.sequence import Sequence
from minikin.engine.span import Span

log = logging.getLogger(__name__)

LATE_SECONDS = 0.02
"""How long a step waits for its masks. An answer with a late mask skips the step."""
IDLE_SECONDS = 0.01
"""How long a step without work waits for a grammar."""


@dataclass(slots=True)
class Ready:
    """The spans whose next token can be chosen now."""

    spans: list[Span] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    """Their rows among the rows of all sampling spans."""
    allowed: list[np.ndarray | None] = field(default_factory=list)
    """For each row the allowed tokens, bool [vocab_size]. None: all."""
    failed: list[tuple[Sequence, Exception]] = field(default_factory=list)
    """The sequences that cannot continue, with the reasons."""


class Constraints:
    """The grammars in compilation, and the masks of running answers."""

    def __init__(self, masks: MaskMaker | None, context_length: int | None) -> None:
        """Answers end in a valid form before `context_length` tokens. None: they are cut off."""
        self._masks = masks
        self._context_length = context_length
        self._compiling: dict[str, tuple[GenerationRequest, Future[Mask]]] = {}
        self._late: set[Sequence] = set()
        """The sequences whose masks were late in the last step."""

    @property
    def compiling(self) -> int:
        """The number of grammars in compilation."""
        return len(self._compiling)

    def begin(self, request: GenerationRequest, grammar: str) -> None:
        """Compile the grammar of the request in another thread."""
        assert self._masks is not None, "this engine does not support grammars"
        self._compiling[request.id] = request, self._masks.begin(grammar)

    def cancel(self, request_id: str) -> None:
        """Remove a request, if it is still here."""
        self._compiling.pop(request_id, None)

    def compiled(self) -> Iterator[tuple[GenerationRequest, Mask | BaseException]]:
        """The requests whose compilation ended, each once: with the mask at the start of the
        grammar, which other requests use too, or with the error."""
        done = [(r, future) for r, future in self._compiling.values() if future.done()]
        for request, future in done:
            del self._compiling[request.id]
            yield request, future.exception() or future.result()

    def wait(self) -> None:
        """Wait a short time for a grammar."""
        wait([future for _, future in self._compiling.values()], IDLE_SECONDS, FIRST_COMPLETED)

    def prepare(self, spans: Iterable[Span]) -> None:
        """Start to compute the masks of the sampling spans, while the model runs."""
        for span in spans:
            if span.sequence.mask:
                span.sequence.mask.prepare()

    def allowed(self, spans: Iterable[Span]) -> Ready:
        """The spans whose next token can be chosen now. Late masks are requested again next step.

        `spans` are all sampling spans, in the order of their rows.
        """
        spans = list(spans)
        # Do not wait again for what was late before, unless there is nothing else.
        known = {span.sequence for span in spans if span.sequence in self._late}
        if len(known) == len(spans):
            known.clear()
        self._late.clear()
        until = time.monotonic() + LATE_SECONDS
        ready, row = Ready(), 0
        for span in spans:
            own = range(row, row + 1 + len(span.guesses))
            row = own.stop
            sequence, mask = span.sequence, None
            if sequence.mask:
                patience = 0.0 if sequence in known else max(0.0, until - time.monotonic())
                try:
                    mask = sequence.mask.allowed(patience)
                except Exception as error:
                    log.warning("Sequence %s/%d: %s", sequence.request.id, sequence.index, error)
                    ready.failed.append((sequence, error))
                    continue
                if mask is None:
                    self._late.add(sequence)
                    continue
            ready.spans.append(span)
            ready.rows += own
            ready.allowed += [mask] * len(own)
        return ready

    def steer(self, sequence: Sequence, token: int) -> int:
        """The token that replaces a sampled one, so that the answer ends in a valid form."""
        if sequence.mask is None or self._context_length is None:
            return token
        try:
            return sequence.mask.steer(token, sequence.room(self._context_length))
        except Exception:  # the answer can continue with the model's token
            log.exception("Cannot steer sequence %s/%d", sequence.request.id, sequence.index)
            return token
