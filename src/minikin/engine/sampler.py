"""Sampling: one vectorised pass over the batch's logits."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Run
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch

from minikin.engine.messages import GREEDY_BELOW, SamplingParams, TokenEntry, TokenLogprob
from minikin.engine.model.choose import Choose, choose, invert
from minikin.engine.scheduler import Span
from minikin.engine.sequence import Sequence

FIRST_LOOK = 512
"""Tokens sorted first for top_p, top_k and min_p. A flatter distribution is sorted in full."""

HIDDEN_RANK = 20
HIDDEN_LOGPROB = -9999.0
"""OpenAI's value for a token outside the 20 most likely ones (its API reference)."""


@dataclass(frozen=True, slots=True)
class Logprobs:
    """Log probabilities of one row, in the model's own distribution."""

    chosen: float
    top: list[tuple[int, float]]
    """Token ids with their log probabilities, most likely first."""


class Sampled(NamedTuple):
    """The token of one row."""

    token: int
    entry: TokenEntry | None
    """Its log probabilities, if requested."""


def sample_spans(
    logits: torch.Tensor,
    spans: Run[Span],
    allowed: Run[np.ndarray | None],
    choose: Choose,
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
    tokens = sample(logits, sequences, ahead, allowed, choose)
    tokens = [steer(sequence, token) for sequence, token in zip(sequences, tokens, strict=True)]
    entries: list[TokenEntry | None] = [None] * len(tokens)
    if wanted:
        counts = [sequences[i].params.top_logprobs or 0 for i in wanted]
        found = logprobs(raw, [tokens[i] for i in wanted], counts)
        for i, row in zip(wanted, found, strict=True):
            top = tuple(TokenLogprob(spell(token), value) for token, value in row.top)
            entries[i] = TokenEntry(spell(tokens[i]), row.chosen, top)
    rows = map(Sampled, tokens, entries)
    return [list(islice(rows, 1 + len(span.guesses))) for span in spans]


def sample(
    logits: torch.Tensor,
    sequences: Run[Sequence],
    ahead: Run[int],
    allowed: Run[np.ndarray | None] = (),
    choose: Choose = choose,
) -> list[int]:
    """One token id for each row of `logits` [R, vocabulary] float32, which is overwritten.

    Row i is for the token `ahead[i]` positions after the next one of `sequences[i]`.

    The order is: penalties and bias, the tokens that the row's grammar `allowed` (bool [tokens],
    None: all), temperature, top_p (OpenAI's order), top_k and min_p. Raises FloatingPointError if
    an output of the model is not a number.
    """
    _penalise_repetition(logits, sequences)
    _adjust(logits, sequences)
    for row, mask in enumerate(allowed):
        if mask is not None:
            _forbid(logits[row], mask)
    params = [sequence.params for sequence in sequences]
    heat = [p.temperature if p.temperature >= GREEDY_BELOW else 0.0 for p in params]
    points = [
        sequence.uniform(i) if hot else 0.0
        for sequence, i, hot in zip(sequences, ahead, heat, strict=True)
    ]
    chosen = choose(logits, heat, points)
    if (chosen < 0).any():
        raise FloatingPointError("the output of the model is not a number")
    narrow = [i for i, p in enumerate(params) if heat[i] and (p.top_p < 1 or p.top_k or p.min_p)]
    if narrow:
        own = [params[i] for i in narrow], [points[i] for i in narrow]
        chosen[narrow] = _draw_likeliest(logits[narrow], *own)
    return chosen.tolist()


def logprobs(logits: torch.Tensor, tokens: Run[int], counts: Run[int]) -> list[Logprobs]:
    """Log probabilities of `tokens`, one per row of `logits`, and of each row's best `counts`."""
    chosen = torch.tensor(tokens, device=logits.device)[:, None]
    total = _log_sums(logits)
    own = logits.gather(1, chosen)
    rank = (logits > own).sum(dim=-1)
    best = logits.topk(min(max(counts), logits.shape[1]), dim=-1) if max(counts) else None
    values = (own - total).squeeze(1).tolist()
    result = []
    for i, (value, place, count) in enumerate(zip(values, rank.tolist(), counts, strict=True)):
        top: list[tuple[int, float]] = []
        if best is not None:
            likely = (best.values[i, :count] - total[i]).tolist()
            top = list(zip(best.indices[i, :count].tolist(), likely, strict=True))
        result.append(Logprobs(value if place < HIDDEN_RANK else HIDDEN_LOGPROB, top))
    return result


def _log_sums(logits: torch.Tensor) -> torch.Tensor:
    """The logarithm of the sum of exponentials [R, 1] of each row [R, vocabulary].

    Row by row in NumPy. PyTorch divides a sum among threads according to the number of rows, so the
    last bit of a row would depend on the other rows.
    """
    sums = []
    for row in logits.float().cpu().numpy():
        most = row.max()
        sums.append(most + np.log(np.exp(row - most).sum(dtype=np.float64)))
    return torch.tensor(sums, dtype=logits.dtype, device=logits.device)[:, None]


def _penalise_repetition(logits: torch.Tensor, sequences: Run[Sequence]) -> None:
    """Make tokens of prompt and answer less likely, in place (Keskar et al. 2019, section 4.1).

    The paper divides every logit, but a negative logit must be multiplied to become smaller.
    """
    for row, sequence in enumerate(sequences):
        penalty = sequence.params.repetition_penalty
        if penalty == 1:
            continue
        seen = torch.tensor(list(set(sequence.tokens)), device=logits.device)
        own = logits[row, seen]
        logits[row, seen] = torch.where(own > 0, own / penalty, own * penalty)


def _adjust(logits: torch.Tensor, sequences: Run[Sequence]) -> None:
    """Add logit_bias and the bias of `opening`, and subtract the penalties, in place.

    logit -= count * frequency_penalty + (count > 0) * presence_penalty, with the counts of this
    answer's sampled tokens (OpenAI's guide on advanced usage).
    """
    rows: list[int] = []
    columns: list[int] = []
    amounts: list[float] = []
    for row, sequence in enumerate(sequences):
        change = _changes(sequence)
        rows += [row] * len(change)
        columns += change.keys()
        amounts += change.values()
    if rows:
        where = torch.tensor(rows), torch.tensor(columns)
        logits.index_put_(
            tuple(index.to(logits.device) for index in where),
            torch.tensor(amounts, dtype=logits.dtype, device=logits.device),
            accumulate=True,
        )


def _forbid(row: torch.Tensor, allowed: np.ndarray) -> None:
    """Keep only the `allowed` tokens, in place. A row can be longer than the vocabulary."""
    forbidden = torch.from_numpy(~allowed).to(row.device)
    row[: len(forbidden)].masked_fill_(forbidden, -torch.inf)
    row[len(forbidden) :] = -torch.inf


def _changes(sequence: Sequence) -> dict[int, float]:
    params = sequence.params
    change = dict(params.logit_bias)
    if (token := sequence.opens_with) is not None:
        change[token] = change.get(token, 0.0) + params.opening.bias
    if params.frequency_penalty or params.presence_penalty:
        for token, count in sequence.counts.items():
            penalty = count * params.frequency_penalty + params.presence_penalty
            change[token] = change.get(token, 0.0) - penalty
    return change


def _draw_likeliest(
    logits: torch.Tensor, params: Run[SamplingParams], points: Run[float]
) -> torch.Tensor:
    """Sample each row [R, vocabulary] at its temperature, from the tokens that pass all limits.

    Each limit is applied independently:

    - top_p: the fewest most likely tokens with this total probability (Holtzman et al. 2020)
    - top_k: this number of most likely tokens (Fan et al. 2018)
    - min_p: tokens with at least this share of the highest probability (Nguyen et al. 2024)
    """
    device, size = logits.device, logits.shape[1]
    heat = torch.tensor([[p.temperature] for p in params], device=device)
    probabilities = (logits / heat).softmax(dim=-1)
    point = torch.tensor(points, dtype=torch.float64, device=device)
    top_p = torch.tensor([[max(p.top_p, 1e-9)] for p in params], device=device)
    top_k = torch.tensor([[min(p.top_k or size, size)] for p in params], device=device)
    min_p = torch.tensor([[p.min_p] for p in params], device=device)
    kept, ids = probabilities.topk(min(FIRST_LOOK, size), dim=-1)
    seen_all = (kept.sum(dim=-1, keepdim=True) >= top_p) | (top_k <= kept.shape[1])
    if not (seen_all | (kept[:, -1:] < min_p * kept[:, :1])).all():
        kept, ids = probabilities.sort(dim=-1, descending=True)
    before = kept.cumsum(dim=-1) - kept
    rank = torch.arange(kept.shape[1], device=device)
    dropped = (before >= top_p) | (rank >= top_k) | (kept < min_p * kept[:, :1])
    return ids.gather(1, invert(kept.masked_fill(dropped, 0.0), point)[:, None]).squeeze(1)
