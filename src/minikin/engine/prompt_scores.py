"""Log probabilities of the tokens of a prompt."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from minikin.engine.logprobs import logprobs, token_entry
from minikin.engine.messages import TokenEntry
from minikin.engine.model.block import BLOCK
from minikin.engine.model.decoder import Decoder, Hidden

ROWS = BLOCK
"""Rows of logits at a time. A row has as many as the vocabulary, so a whole prompt takes much
memory."""


@dataclass(slots=True)
class PromptScores:
    """The log probabilities of a prompt's tokens: of each but the first, and of the likeliest.

    The row of a token predicts the next one. A row can be computed again without effect, for
    example after a preemption.
    """

    prompt: list[int]
    top: int
    """The number of most likely tokens beside each token."""
    known: int = 1
    """How many tokens have their log probability, or need none."""
    _entries: list[TokenEntry] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether all are known."""
        return self.known >= len(self.prompt)

    @property
    def reusable(self) -> list[int]:
        """The start of the prompt whose rows before the last are not needed."""
        return self.prompt[: self.known]

    def add(
        self, start: int, hidden: Hidden, decoder: Decoder, spell: Callable[[int], bytes]
    ) -> None:
        """Take rows into account: `hidden` [rows, hidden], the first for the token at `start`.

        `spell` returns the bytes of a token. Raises FloatingPointError if an output of the model is
        not a number.
        """
        stop = min(start + len(hidden), len(self.prompt) - 1)
        for begin in range(start, stop, ROWS):
            end = min(begin + ROWS, stop)
            # All rows of a piece, also if some are known: their number can change the last bits.
            logits = decoder.logits(hidden[begin - start : end - start], end - begin)
            tokens = self.prompt[begin + 1 : end + 1]
            found = logprobs(logits, tokens, [self.top] * len(tokens), decoder.chooser)
            if not all(math.isfinite(row.chosen) for row in found):
                raise FloatingPointError("the output of the model is not a number")
            for at, (token, row) in enumerate(zip(tokens, found, strict=True), begin + 1):
                if at == self.known:
                    self._entries.append(token_entry(token, row, spell))
                    self.known += 1

    def take(self) -> tuple[TokenEntry, ...]:
        """The entries since the last call."""
        entries = tuple(self._entries)
        self._entries.clear()
        return entries
