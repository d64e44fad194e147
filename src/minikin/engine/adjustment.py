"""What an answer's parameters add to the logits of its next token."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from minikin.engine.messages import SamplingParams


class Adjustment:
    """logit_bias, minus the penalties for the tokens of the answer so far, as one row.

    logit -= count * frequency_penalty + (count > 0) * presence_penalty, with the counts of this
    answer's sampled tokens (OpenAI's guide on advanced usage).
    """

    def __init__(self, params: SamplingParams, counts: Mapping[int, int], size: int) -> None:
        self._params = params
        self.row = np.zeros(size, np.float32)
        """[size]: added to the logits."""
        for token in params.logit_bias:
            self.count(token, 0)
        for token, count in counts.items():
            self.count(token, count)

    @staticmethod
    def needed(params: SamplingParams) -> bool:
        """Whether the parameters change any logit."""
        return bool(params.logit_bias or params.frequency_penalty or params.presence_penalty)

    def count(self, token: int, count: int) -> None:
        """Record that the answer has `token` `count` times."""
        p = self._params
        penalty = count * p.frequency_penalty + (p.presence_penalty if count else 0)
        self.row[token] = p.logit_bias.get(token, 0.0) - penalty
