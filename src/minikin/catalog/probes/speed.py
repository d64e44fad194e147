"""How fast a server answers: the time to the first token, and tokens a second."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from statistics import median
from typing import NamedTuple

from minikin.catalog.facts.evidence import Speed, stamp
from minikin.catalog.probes import stream as streams
from minikin.catalog.probes.checks_text import STORY
from minikin.catalog.probes.probe import Asker, Failed

TOKENS = 64
"""Tokens of each answer."""
_RUNS = 3
STREAMS = 8


class _Timed(NamedTuple):
    first: float
    last: float
    tokens: int


def measure(asker: Asker) -> Speed:
    """Three answers one by one, then eight at the same time. Raises Failed, Unreachable.

    Each prompt begins differently, so that no cache of prompts answers for the model.
    """
    asker.settle()
    alone = [_timed(asker) for _ in range(_RUNS)]
    with ThreadPoolExecutor(STREAMS) as pool:
        together = [*pool.map(lambda _: _timed(asker), range(STREAMS))]
    rates = [(one.tokens - 1) / max(one.last - one.first, 1e-6) for one in alone]
    return Speed(
        first_token_ms=round(1000 * median(one.first for one in alone)),
        tokens_per_second=round(median(rates), 1),
        tokens_per_second_of_8=round(
            sum(one.tokens for one in together) / max(one.last for one in together), 1
        ),
        at=stamp(datetime.now(UTC)),
    )


def _timed(asker: Asker) -> _Timed:
    reply = asker.send_unrecorded(
        f"{secrets.token_hex(4)}: {STORY}",
        max_tokens=TOKENS,
        stream=True,
        stream_options={"include_usage": True},
    )
    found = streams.read(asker.accepted(reply))
    if found is None or len(found.arrivals) < 2:
        raise Failed("the server does not stream, so its speed has no measure")
    counted = found.usage.get("completion_tokens")
    tokens = counted if isinstance(counted, int) and counted > 1 else len(found.arrivals)
    return _Timed(found.arrivals[0], found.arrivals[-1], tokens)
