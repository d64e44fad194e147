"""Requests bound by a grammar: the wait for it to be compiled, and for the masks of each step."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field

import numpy as np

from minikin.engine.mask import Mask, MaskMaker
from minikin.engine.messages import GenerationRequest
from minikin.engine.scheduler import Span
from minikin.engine.sequence import Sequence

log = logging.getLogger(__name__)

LATE_SECONDS = 0.02
"""How long a step waits for its masks; an answer whose mask is later sits the step out."""
IDLE_SECONDS = 0.01
"""How long a step without work waits for a grammar."""


@dataclass(slots=True)
class Ready:
    """The spans whose next token can be chosen now."""

    spans: list[Span] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    """Their rows among those of all spans that sample."""
    allowed: list[np.ndarray | None] = field(default_factory=list)
    """For each row the tokens that it may choose, bool [vocab_size]; None: any."""
    failed: list[tuple[Sequence, Exception]] = field(default_factory=list)
    """The sequences that can't go on, and why."""


class Constraints:
    """The grammars that are being compiled, and the masks of those that are followed."""

    def __init__(self, masks: MaskMaker | None, context_length: int | None) -> None:
        """Answers end in their form before `context_length` tokens; None: they are cut off."""
        self._masks = masks
        self._context_length = context_length
        self._compiling: dict[str, tuple[GenerationRequest, Future[Mask]]] = {}

    @property
    def busy(self) -> bool:
        """Whether some grammar is being compiled."""
        return bool(self._compiling)

    def begin(self, request: GenerationRequest, grammar: str) -> None:
        """Compile the request's grammar, in another thread."""
        assert self._masks is not None, "this engine follows no grammars"
        self._compiling[request.id] = request, self._masks.begin(grammar)

    def cancel(self, request_id: str) -> None:
        """Forget a request, if it is still here."""
        self._compiling.pop(request_id, None)

    def compiled(self) -> Iterator[tuple[GenerationRequest, Mask | BaseException]]:
        """The requests whose grammar is done, each once: with its mask, or with what went wrong."""
        done = [(r, future) for r, future in self._compiling.values() if future.done()]
        for request, future in done:
            del self._compiling[request.id]
            yield request, future.exception() or future.result().fresh()

    def wait(self) -> None:
        """Wait a moment for a grammar."""
        wait([future for _, future in self._compiling.values()], IDLE_SECONDS, FIRST_COMPLETED)

    def prepare(self, spans: Iterable[Span]) -> None:
        """Begin to compute the masks of the spans that sample, while the model runs."""
        for span in spans:
            if span.sequence.mask:
                span.sequence.mask.prepare()

    def allowed(self, spans: Iterable[Span]) -> Ready:
        """The spans whose next token can be chosen now; a late mask is asked for again next step.

        `spans` are all that sample, in the order of their rows.
        """
        until = time.monotonic() + LATE_SECONDS
        ready, row = Ready(), 0
        for span in spans:
            own = range(row, row + 1 + len(span.guesses))
            row = own.stop
            sequence, mask = span.sequence, None
            if sequence.mask:
                try:
                    mask = sequence.mask.allowed(max(0.0, until - time.monotonic()))
                except Exception as error:
                    log.warning("sequence %s/%d: %s", sequence.request.id, sequence.index, error)
                    ready.failed.append((sequence, error))
                    continue
                if mask is None:
                    continue
            ready.spans.append(span)
            ready.rows += own
            ready.allowed += [mask] * len(own)
        return ready

    def steer(self, sequence: Sequence, token: int) -> int:
        """The token to take in place of a sampled one, so that the answer ends in its form."""
        if sequence.mask is None or self._context_length is None:
            return token
        try:
            return sequence.mask.steer(token, sequence.room(self._context_length))
        except Exception:  # the answer can still go on as the model has it
            log.exception("sequence %s/%d can't be steered", sequence.request.id, sequence.index)
            return token
