"""Log probabilities of chosen tokens, in the model's own distribution."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Run
from dataclasses import dataclass
from itertools import islice

import numpy as np

from minikin.engine.messages import TokenEntry, TokenLogprob
from minikin.engine.model.decoder import Chooser, Logits


@dataclass(frozen=True, slots=True)
class Logprobs:
    """Log probabilities of one row, in the model's own distribution."""

    chosen: float
    place: int
    """How many tokens are more likely than the chosen one."""
    top: list[tuple[int, float]]
    """Token ids with their log probabilities, most likely first."""


def logprobs(
    logits: Logits, tokens: Run[int], counts: Run[int], chooser: Chooser
) -> list[Logprobs]:
    """Log probabilities of `tokens`, one per row of `logits`, and of each row's best `counts`."""
    ranks = chooser.rank(logits, tokens, max(counts))
    own = chooser.at(logits, np.array(tokens, np.int64)[:, None])[:, 0]
    likely = chooser.at(logits, ranks.best)
    columns = own, likely, ranks.best, ranks.totals, ranks.places
    rows = zip(*(column.tolist() for column in columns), counts, strict=True)
    return [
        Logprobs(
            value - total,
            place,
            [(token, logit - total) for token, logit in islice(zip(ids, top, strict=True), count)],
        )
        for value, top, ids, total, place, count in rows
    ]


def token_entry(token: int, row: Logprobs, spell: Callable[[int], bytes]) -> TokenEntry:
    """The entry of a token. `spell` returns the bytes of a token."""
    top = tuple(TokenLogprob(spell(other), value) for other, value in row.top)
    return TokenEntry(spell(token), row.chosen, top)
