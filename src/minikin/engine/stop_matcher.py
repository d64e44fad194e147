"""Finding stop texts in an answer that arrives in pieces."""

from __future__ import annotations


class StopMatcher:
    """Releases text as soon as it can't be part of a stop text any more.

    Of several stop texts the one that begins first wins. Each call looks only at its own text and
    at what was held back, which is shorter than the longest stop text.
    """

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""

    def feed(self, text: str) -> tuple[str, bool]:
        """Take more text; returns what is free to be shown, and whether a stop text was met."""
        self._held += text
        begins = self._begins()
        # An earlier place may still turn out to begin a longer stop text: wait for it.
        first = min([*begins, self._earliest_half()])
        released, self._held = self._held[:first], self._held[first:]
        return released, first in begins

    def flush(self) -> tuple[str, bool]:
        """As `feed`, when no text follows: nothing is held back."""
        begins = self._begins()
        released, self._held = self._held[: min(begins, default=len(self._held))], ""
        return released, bool(begins)

    def _begins(self) -> list[int]:
        return [at for stop in self._stops if (at := self._held.find(stop)) >= 0]

    def _earliest_half(self) -> int:
        """Where the longest beginning of a stop text stands at the end of the held text."""
        end = len(self._held)
        longest = max((len(stop) for stop in self._stops), default=1) - 1
        for start in range(max(0, end - longest), end):
            if any(stop.startswith(self._held[start:]) for stop in self._stops):
                return start
        return end
