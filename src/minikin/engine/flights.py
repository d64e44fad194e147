"""Steps that a device computes while the host handles the tokens of the step before."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import NamedTuple

from minikin.engine.batch import make_batch
from minikin.engine.model.decoder import Cache, Fed, Launched, Launcher
from minikin.engine.sampler import draw_of
from minikin.engine.scheduler import Scheduler
from minikin.engine.span import Span

log = logging.getLogger(__name__)


class Flight(NamedTuple):
    """A step that the device computes, or has computed, and the host has not read."""

    spans: list[Span]
    step: Launched


class Flights:
    """Keeps one step on the device. While it runs, the next one starts, if it needs no token.

    Such a step has one row for each answer, and its tokens stay on the device. An answer that ends
    has a row too many in the step after its end. The engine does not read it, and what it writes to
    the cache is after the tokens of its sequence. A device computes steps one after the other, so
    the next sequence of these blocks overwrites it.
    """

    def __init__(self, launcher: Launcher | None, scheduler: Scheduler, cache: Cache) -> None:
        """Without a launcher, no step is started ahead."""
        self._launcher = launcher
        self._scheduler = scheduler
        self._cache = cache
        self._flight: Flight | None = None
        self._failed = False
        """Whether the last step failed. It runs again, and is waited for."""

    @property
    def aloft(self) -> bool:
        """Whether there is a step to read."""
        return self._flight is not None

    def begin(self, spans: list[Span]) -> bool:
        """Start the step, unless the host has to choose its tokens. Returns whether it started."""
        if self._launcher is None:
            return False
        failed, self._failed = self._failed, False
        if failed or not all(span.is_unaided for span in spans):
            return False
        self._flight = self._launch(self._launcher, spans)
        return self.aloft

    def land(self) -> tuple[list[Span], list[int]]:
        """Start the next step if possible, and wait for the tokens of the one before.

        Returns the spans of sequences that still run, and the next token of each. Both are empty if
        the step failed: the scheduler plans it again.
        """
        assert self._flight is not None
        assert self._launcher is not None
        spans, step = self._flight
        following = self._scheduler.ahead(spans)
        self._flight = self._launch(self._launcher, following, step) if following else None
        try:
            landed = list(_landed(spans, step))
        except Exception:
            log.exception("A step of %d sequences failed. It runs again", len(spans))
            self._flight, self._failed, landed = None, True, []
        return [span for span, _ in landed], [token for _, token in landed]

    def _launch(
        self, launcher: Launcher, spans: list[Span], before: Launched | None = None
    ) -> Flight | None:
        """Start a step, after the one before. None if it does not start."""
        fed = Fed(before, [span.fed for span in spans if span.fed is not None]) if before else None
        draws = [draw_of(span.sequence, 1 if before else 0) for span in spans]
        try:
            step = launcher.launch(make_batch(spans), draws, self._cache, fed)
        except Exception:
            log.exception("A step of %d sequences did not start", len(spans))
            self._failed = True
            return None
        return Flight(spans, step)


def _landed(spans: list[Span], step: Launched) -> Iterator[tuple[Span, int]]:
    """Each span whose sequence still runs, and its token.

    Raises FloatingPointError if an output of the model is not a number.
    """
    for span, token in zip(spans, step.read().tolist(), strict=True):
        if span.sequence.blocks:
            if token < 0:
                raise FloatingPointError("the output of the model is not a number")
            yield span, token
