"""The text of one answer while its tokens arrive: the final part, and the end."""

from __future__ import annotations

import sys
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from minikin.engine.detokenizer import Detokenizer
from minikin.engine.messages import TokenEntry, Unsearched
from minikin.engine.stop_matcher import StopMatcher
from minikin.tokenizer.tokenizer import Tokenizer


@dataclass(slots=True)
class _Spelled:
    """A token whose text is not completely released, and the position of that text."""

    entry: TokenEntry | None
    start: int
    end: int = sys.maxsize
    """Unknown while the last bytes of the token wait for the rest of a character."""


class Shown(NamedTuple):
    """Final text, and the tokens that it completes."""

    text: str
    token_ends: tuple[int, ...] = ()
    """The end of each token in `text`."""
    entries: tuple[TokenEntry, ...] = ()
    """Their log-probability entries, if there are any."""

    def then(self, later: Shown) -> Shown:
        """This text followed by another."""
        ends = tuple(len(self.text) + end for end in later.token_ends)
        return Shown(self.text + later.text, self.token_ends + ends, self.entries + later.entries)


class AnswerText:
    """Turns tokens into final text: complete characters, and no part of a stop sequence.

    The log-probability entry of a token is released with the end of its text.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        stops: tuple[str, ...],
        unsearched: tuple[Unsearched, ...] = (),
    ) -> None:
        self._detokenizer = Detokenizer(tokenizer)
        self._matcher = StopMatcher(stops, unsearched)
        self._spelled = 0
        self._shown = 0
        self._waiting: deque[_Spelled] = deque()
        self.stopped = False
        """Whether a stop sequence was found."""
        self.visible_tokens = 0
        """The number of tokens whose text was released at least in part, or would be at the end."""

    @property
    def held(self) -> tuple[TokenEntry, ...]:
        """The entries of tokens whose text is not complete, if there are any."""
        return tuple(token.entry for token in self._waiting if token.entry is not None)

    def take(self, token: int, entry: TokenEntry | None) -> Shown:
        """Add one token. Returns the text that is final now."""
        text = self._detokenizer.add(token)
        self._waiting.append(_Spelled(entry, self._spelled))
        return self._show(text, last=False)

    def finish(self) -> Shown:
        """Return the text that was held back, at the end of the answer."""
        return self._show(self._detokenizer.flush(), last=True)

    def _show(self, text: str, *, last: bool) -> Shown:
        self._spelled += len(text)
        if text or last:
            for spelled in reversed(self._waiting):
                if spelled.end < sys.maxsize:
                    break
                spelled.end = self._spelled
        shown, self.stopped = self._matcher.feed(text)
        if last and not self.stopped:
            rest, self.stopped = self._matcher.flush()
            shown += rest
        before, self._shown = self._shown, self._shown + len(shown)
        tokens = self._completed(everything=last and not self.stopped)
        self.visible_tokens += len(tokens)
        return Shown(
            shown,
            tuple(min(token.end, self._shown) - before for token in tokens),
            tuple(token.entry for token in tokens if token.entry is not None),
        )

    def _completed(self, *, everything: bool) -> list[_Spelled]:
        completed: list[_Spelled] = []
        while self._waiting:
            first = self._waiting[0]
            complete = first.end <= self._shown
            begun = self.stopped and first.start < self._shown
            if not (everything or complete or begun):
                break
            completed.append(self._waiting.popleft())
        return completed
