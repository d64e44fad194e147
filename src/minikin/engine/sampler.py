"""Sampling: one vectorised pass over the batch's logits."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Run
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

import numpy as np

from minikin.engine.adjustment import Adjustment
from minikin.engine.logprobs import logprobs, token_entry
from minikin.engine.messages import GREEDY_BELOW, TokenEntry
from minikin.engine.model.decoder import Chooser, Logits, Seen
from minikin.engine.native.draw import Draw
from minikin.engine.sequence import Sequence
from minikin.engine.span import Span

HIDDEN_RANK = 20
HIDDEN_LOGPROB = -9999.0
"""OpenAI's value for a token outside the 20 most likely ones (its API reference)."""


class Sampled(NamedTuple):
    """The token of one row."""

    token: int
    entry: TokenEntry | None
    """Its log probabilities, if requested."""


def sample_spans(
    logits: Logits,
    spans: Run[Span],
    allowed: Run[np.ndarray | None],
    chooser: Chooser,
    spell: Callable[[int], bytes],
    steer: Callable[[Sequence, int], int],
) -> list[list[Sampled]]:
    """For each span, the token after it and those after its guesses. See `sample`.

    `spell` returns the bytes of a token for the log-probability entries. `steer` returns the token
    that replaces a sampled one.
    """
    ahead = [i for span in spans for i in range(1 + len(span.guesses))]
    sequences = [span.sequence for span in spans for _ in range(1 + len(span.guesses))]
    if not sequences:
        return []
    wanted = [i for i, s in enumerate(sequences) if s.params.top_logprobs is not None]
    raw = logits[wanted]
    tokens = sample(logits, sequences, ahead, allowed, chooser)
    tokens = [steer(sequence, token) for sequence, token in zip(sequences, tokens, strict=True)]
    entries: list[TokenEntry | None] = [None] * len(tokens)
    if wanted:
        counts = [sequences[i].params.top_logprobs or 0 for i in wanted]
        found = logprobs(raw, [tokens[i] for i in wanted], counts, chooser)
        for i, row in zip(wanted, found, strict=True):
            shown = row if row.place < HIDDEN_RANK else replace(row, chosen=HIDDEN_LOGPROB)
            entries[i] = token_entry(tokens[i], shown, spell)
    rows = map(Sampled, tokens, entries)
    return [list(islice(rows, 1 + len(span.guesses))) for span in spans]


def sample(
    logits: Logits,
    sequences: Run[Sequence],
    ahead: Run[int],
    allowed: Run[np.ndarray | None],
    chooser: Chooser,
) -> list[int]:
    """One token id for each row of `logits` [R, vocabulary] float32, which is overwritten.

    Row i is for the token `ahead[i]` positions after the next one of `sequences[i]`.

    The order is: penalties and bias, the tokens that the row's grammar `allowed` (bool [tokens],
    None: all), temperature, top_p (OpenAI's order), top_k and min_p. Raises FloatingPointError if
    an output of the model is not a number.

    The repetition penalty is that of prompt and answer (Keskar et al. 2019, section 4.1). The paper
    divides every logit, but a negative logit must be multiplied to become smaller.
    """
    chooser.penalise(logits, [
        Seen(row, np.array([*set(sequence.tokens)], np.int64), sequence.params.repetition_penalty)
        for row, sequence in enumerate(sequences)
        if sequence.params.repetition_penalty != 1
    ])  # fmt: skip
    for row, sequence in enumerate(sequences):
        if (token := sequence.opens_with) is not None:
            logits[row, token] += sequence.params.opening.bias
    chooser.restrict(logits, allowed)
    draws = [draw_of(sequence, i) for sequence, i in zip(sequences, ahead, strict=True)]
    chosen = chooser.choose(logits, draws)
    if (chosen < 0).any():
        raise FloatingPointError("the output of the model is not a number")
    return chosen.tolist()


def draw_of(sequence: Sequence, ahead: int) -> Draw:
    """How to choose the token of a sequence that is `ahead` positions after its next one."""
    p = sequence.params
    if sequence.adjustment is None and Adjustment.needed(p):
        sequence.adjustment = Adjustment(p, sequence.counts)
    draw = Draw() if sequence.adjustment is None else Draw(changes=sequence.adjustment.changes)
    if p.temperature < GREEDY_BELOW:
        return draw
    limits = p.temperature, p.top_p, p.min_p, p.top_k or 0
    return Draw(*limits, sequence.uniform(ahead), draw.changes)
