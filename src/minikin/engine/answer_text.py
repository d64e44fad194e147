"""The text of one answer as its tokens come: what may be shown now, and when it ends."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from minikin.engine.detokenizer import Detokenizer
from minikin.engine.messages import TokenEntry
from minikin.engine.stop_matcher import StopMatcher
from minikin.tokenizer.tokenizer import Tokenizer


@dataclass(slots=True)
class _Spelled:
    """A token whose text is not wholly shown: where in the answer that text lies."""

    entry: TokenEntry | None
    start: int
    end: int | None
    """None while the token's last bytes wait for the rest of a character."""


class AnswerText:
    """Turns tokens into text that is certain: whole characters, no part of a stop text.

    A token's log-probability entry is shown with the last of its text.
    """

    def __init__(self, tokenizer: Tokenizer, stops: tuple[str, ...]) -> None:
        self._detokenizer = Detokenizer(tokenizer)
        self._matcher = StopMatcher(stops)
        self._spelled = 0
        self._shown = 0
        self._waiting: deque[_Spelled] = deque()
        self.stopped = False
        """Whether a stop text has been met."""
        self.visible_tokens = 0
        """Tokens of which some text has been shown, or was about to be when the answer ended."""

    def take(self, token: int, entry: TokenEntry | None) -> tuple[str, tuple[TokenEntry, ...]]:
        """Spell one more token; returns the text that may be shown now, with its entries."""
        text = self._detokenizer.add(token)
        self._waiting.append(_Spelled(entry, self._spelled, None))
        return self._show(text, last=False)

    def finish(self) -> tuple[str, tuple[TokenEntry, ...]]:
        """Give up what was held back, since no token follows."""
        return self._show(self._detokenizer.flush(), last=True)

    def _show(self, text: str, *, last: bool) -> tuple[str, tuple[TokenEntry, ...]]:
        self._spelled += len(text)
        if text or last:
            for spelled in reversed(self._waiting):
                if spelled.end is not None:
                    break
                spelled.end = self._spelled
        shown, self.stopped = self._matcher.feed(text)
        if last and not self.stopped:
            rest, self.stopped = self._matcher.flush()
            shown += rest
        self._shown += len(shown)
        return shown, self._entries(everything=last and not self.stopped)

    def _entries(self, *, everything: bool) -> tuple[TokenEntry, ...]:
        entries: list[TokenEntry] = []
        while self._waiting:
            first = self._waiting[0]
            complete = first.end is not None and first.end <= self._shown
            begun = self.stopped and first.start < self._shown
            if not (everything or complete or begun):
                break
            self._waiting.popleft()
            self.visible_tokens += 1
            if first.entry is not None:
                entries.append(first.entry)
        return tuple(entries)
