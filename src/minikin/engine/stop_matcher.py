"""Finds stop sequences in an answer that arrives in pieces."""

from __future__ import annotations

from collections.abc import Iterable

from minikin.engine.messages import Unsearched


class StopMatcher:
    """Releases text as soon as it cannot be part of a stop sequence.

    If several stop sequences match, the first one in the text counts. A match inside an unsearched
    passage, or partly inside, does not count. Each call reads only its own text and the held text,
    which is shorter than the longest stop sequence or mark.
    """

    def __init__(self, stops: tuple[str, ...], unsearched: tuple[Unsearched, ...] = ()) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._passages = tuple(passage for passage in unsearched if passage.begin)
        self._inside = next((passage for passage in unsearched if not passage.begin), None)
        """The current passage."""
        self._after = False
        """Whether only white space followed a passage so far."""
        self._held = ""

    def feed(self, text: str) -> tuple[str, bool]:
        """Add text. Returns the released text, and whether a stop sequence was found."""
        self._held += text
        if not self._stops:
            return self._take(len(self._held)), False
        released = ""
        while True:
            released += self._pass()
            if self._inside or self._after:
                return released, False
            at = self._next_passage()
            found, stopped = self._search() if at is None else self._enter(at)
            released += found
            if stopped or at is None:
                return released, stopped

    def flush(self) -> tuple[str, bool]:
        """As `feed` at the end of the answer: nothing is held back."""
        begins = [] if self._inside or self._after else self._begins(self._held)
        released = self._take(min(begins, default=len(self._held)))
        return released, bool(begins)

    def _next_passage(self) -> int | None:
        """The start of an unsearched passage in the held text."""
        begins = (self._held.find(passage.begin) for passage in self._passages)
        return min((at for at in begins if at >= 0), default=None)

    def _enter(self, at: int) -> tuple[str, bool]:
        """Release the text before the passage at `at`, unless it contains a stop sequence."""
        if begins := self._begins(self._held[:at]):
            return self._take(min(begins)), True
        self._inside = next(p for p in self._passages if self._held.startswith(p.begin, at))
        return self._take(at + len(self._inside.begin)), False

    def _pass(self) -> str:
        """Release the part of a passage in the held text, and the white space after it."""
        if not self._inside and not self._after:
            return ""
        released = ""
        if self._inside:
            end = self._inside.end
            at = self._held.find(end) if end else -1
            if at < 0:
                return self._take(_earliest_half(self._held, [end]))
            self._inside, self._after = None, True
            released = self._take(at + len(end))
        released += self._take(len(self._held) - len(self._held.lstrip()))
        self._after = not self._held
        return released

    def _search(self) -> tuple[str, bool]:
        """Release the held text up to a stop sequence, a possible one, or a passage."""
        marks = [passage.begin for passage in self._passages]
        searched = _earliest_half(self._held, marks)
        begins = self._begins(self._held[:searched])
        # An earlier position can still become a longer stop sequence: wait for it.
        half = _earliest_half(self._held, self._stops)
        waiting = min([half, searched, *self._begins(self._held)])
        return self._take(waiting), waiting in begins

    def _take(self, size: int) -> str:
        taken, self._held = self._held[:size], self._held[size:]
        return taken

    def _begins(self, text: str) -> list[int]:
        return [at for stop in self._stops if (at := text.find(stop)) >= 0]


def _earliest_half(text: str, wholes: Iterable[str]) -> int:
    """The start of the longest prefix of one of `wholes` at the end of `text`."""
    size = len(text)
    longest = max(map(len, wholes), default=1) - 1
    for start in range(max(0, size - longest), size):
        if any(whole.startswith(text[start:]) for whole in wholes):
            return start
    return size
