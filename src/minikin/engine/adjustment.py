"""What an answer's parameters add to the logits of its next token."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from minikin.engine.messages import SamplingParams


class Adjustment:
    """logit_bias, minus the penalties for the tokens of the answer so far.

    logit -= count * frequency_penalty + (count > 0) * presence_penalty, with the counts of this
    answer's sampled tokens (OpenAI's guide on advanced usage).
    """

    def __init__(self, params: SamplingParams, counts: Mapping[int, int]) -> None:
        self._params = params
        self._places: dict[int, int] = {}
        """Token -> where it is in the arrays, which have room for more."""
        self._tokens = np.empty(16, np.int64)
        self._amounts = np.empty(16, np.float32)
        for token in [*params.logit_bias, *counts]:
            self.count(token, counts.get(token, 0))

    @staticmethod
    def needed(params: SamplingParams) -> bool:
        """Whether the parameters change any logit."""
        return bool(params.logit_bias or params.frequency_penalty or params.presence_penalty)

    @property
    def changes(self) -> tuple[np.ndarray, np.ndarray]:
        """The tokens [N] int64 whose logits change, each once, and what is added, [N] float32."""
        count = len(self._places)
        return self._tokens[:count], self._amounts[:count]

    def count(self, token: int, count: int) -> None:
        """Record that the answer has `token` `count` times."""
        place = self._places.setdefault(token, len(self._places))
        if place == len(self._tokens):
            self._tokens = np.resize(self._tokens, 2 * place)
            self._amounts = np.resize(self._amounts, 2 * place)
        p = self._params
        penalty = count * p.frequency_penalty + (p.presence_penalty if count else 0)
        self._tokens[place] = token
        self._amounts[place] = p.logit_bias.get(token, 0.0) - penalty
