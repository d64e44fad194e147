"""What metrics and logs cost: the server as operators run it, over one without both, in pairs.

The one logs every request as JSON, and its metrics are read every few seconds. The other counts
nothing and logs nothing. Each pair of turns takes both orders (A B B A), so that a clock that slows
down counts for both. CPU time of the HTTP processes is valid on a busy machine too.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

from bench.server import Server, cpu_seconds, serving
from bench.state import throughput

STREAMS = 32
SCRAPE_SECONDS = 5.0
MOST_COST = 0.01
"""Of the throughput."""


@dataclass
class Turns:
    """What one server did in its turns."""

    server: Server
    scraped: bool
    rates: list[float] = field(default_factory=list)
    """Tokens a second."""
    cpu: list[float] = field(default_factory=list)
    """CPU seconds of the HTTP process."""

    async def take(self) -> None:
        """32 answers at once."""
        pid = self.server.process.pid
        scraping = asyncio.create_task(_scrape(self.server.url)) if self.scraped else None
        before = cpu_seconds(pid)
        self.rates.append(await throughput(self.server.url, STREAMS, store=False))
        self.cpu.append(cpu_seconds(pid) - before)
        if scraping:
            scraping.cancel()
            with suppress(asyncio.CancelledError):
                await scraping


async def _scrape(url: str) -> None:
    async with httpx.AsyncClient() as client:
        while True:
            (await client.get(f"{url}/metrics")).raise_for_status()
            await asyncio.sleep(SCRAPE_SECONDS)


async def run(seen: Turns, unseen: Turns, pairs: int) -> None:
    """Take turns."""
    for each in (seen, unseen):
        await throughput(each.server.url, STREAMS, store=False)
    for pair in range(pairs):
        for each in (seen, unseen) if pair % 2 else (unseen, seen):
            await each.take()


def main() -> None:
    """Print the cost. Exit code 1 if it is over 1 %."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--pairs", type=int, default=20)
    given = parser.parse_args()
    with (
        tempfile.TemporaryFile() as log,
        serving(given.model, "--access-log", "--log-format", "json", log=log) as one,
        serving(given.model, "--no-access-log", program="bench.unseen") as other,
    ):
        seen, unseen = Turns(one, True), Turns(other, False)
        asyncio.run(run(seen, unseen, given.pairs))
    shares = [a / b for a, b in zip(seen.rates, unseen.rates, strict=True)]
    half = 1.96 * statistics.stdev(shares) / len(shares) ** 0.5 if len(shares) > 1 else 1.0
    cost = 1 - statistics.fmean(shares)
    print(f"{STREAMS} streams, {statistics.median(unseen.rates):.0f} tokens/s without metrics and "
          f"logs, {statistics.median(seen.rates):.0f} with them")  # fmt: skip
    print(f"They cost {cost:+.2%} of throughput (95 %: {cost - half:+.2%} to {cost + half:+.2%}).")
    print(f"CPU time of the HTTP process in a turn: {statistics.fmean(seen.cpu):.3f} s with them, "
          f"{statistics.fmean(unseen.cpu):.3f} s without")  # fmt: skip
    raise SystemExit(cost > MOST_COST)


if __name__ == "__main__":
    main()
