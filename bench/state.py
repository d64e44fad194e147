"""What it costs others that the server stores answers, and that it runs a batch.

Three comparisons with the default model, in pairs that take turns (A B B A):

- `store`: tokens a second of answers at once, with `store: true` over without it, on SQLite and on
  PostgreSQL
- `batch`: tokens a second of a batch of 200 lines over those of 200 streams, 32 at once; and the
  time to the first token of single requests, beside a batch of 2,000 lines over without it
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from rich.progress import track

from bench.client import ENDLESS, ask
from bench.scenarios import unique
from bench.server import serving
from minikin.engine.scheduler import CALM_SECONDS
from tests import postgresql

LINES = 2_000
"""Of a batch that others run beside."""
SHORT = 200
"""Lines of a batch that is measured."""
STREAMS = 32
ANSWER_TOKENS = 100
REQUESTS = 24
"""Interactive requests of one turn."""
MODEL = "gpt-4.1-mini"


@contextmanager
def server(model: Path, database: str | None) -> Iterator[str]:
    """A server with this database, or with a new file of SQLite."""
    where = ("--database", database) if database else ()
    with serving(str(model), "--no-access-log", *where) as running:
        yield running.url


async def throughput(url: str, count: int, *, store: bool) -> float:
    """Tokens a second of `count` answers at once."""
    prompts = [f"Tell me a long story. {unique(8)}" for _ in range(count)]
    started = time.perf_counter()
    answers = await asyncio.gather(
        *(ask(url, prompt, ANSWER_TOKENS, store=store) for prompt in prompts)
    )
    return sum(answer.tokens for answer in answers) / (time.perf_counter() - started)


async def cost_of_storing(url: str, count: int, pairs: int) -> list[float]:
    """The rate with `store` over the rate without it, for each pair."""
    await throughput(url, count, store=True)
    ratios = []
    for pair in track(range(pairs), f"{count} answers at once"):
        rates = dict.fromkeys((True, False), 0.0)
        for store in (True, False) if pair % 2 else (False, True):
            rates[store] = await throughput(url, count, store=store)
        ratios.append(rates[True] / rates[False])
    return ratios


async def rate_of_streams(url: str) -> float:
    """Tokens a second of `SHORT` streams, `STREAMS` at once."""
    places = asyncio.Semaphore(STREAMS)

    async def one() -> int:
        async with places:
            prompt = f"Tell me a story. {unique(8)}"
            return (await ask(url, prompt, ANSWER_TOKENS)).tokens

    started = time.perf_counter()
    tokens = sum(await asyncio.gather(*(one() for _ in range(SHORT))))
    return tokens / (time.perf_counter() - started)


def rate_of_a_batch(client: httpx.Client) -> float:
    """Tokens a second of a batch of `SHORT` lines, from its creation to its end."""
    file = _upload(client, SHORT)
    started = time.perf_counter()
    batch = _create(client, file)
    while (found := client.get(f"/batches/{batch}").json())["status"] != "completed":
        time.sleep(0.1)
    return found["usage"]["output_tokens"] / (time.perf_counter() - started)


async def rates_of_batches(url: str, pairs: int) -> list[float]:
    """The rate of a batch over that of streams, for each pair."""
    ratios = []
    with httpx.Client(base_url=f"{url}/v1", timeout=120) as client:
        for pair in track(range(pairs), "A batch and streams"):
            rates = dict.fromkeys((True, False), 0.0)
            for batch in (True, False) if pair % 2 else (False, True):
                await asyncio.sleep(CALM_SECONDS + 1)  # until batches take long steps
                rates[batch] = rate_of_a_batch(client) if batch else await rate_of_streams(url)
            ratios.append(rates[True] / rates[False])
    return ratios


async def first_tokens(url: str) -> list[float]:
    """Seconds to the first token of single requests, one after the other."""
    times = []
    for _ in range(REQUESTS):
        times.append((await ask(url, f"Tell me a story. {unique(30)}", 8)).first)
        await asyncio.sleep(random.uniform(0.05, 0.25))
    return times


async def cost_of_a_batch(url: str, pairs: int) -> list[float]:
    """The median time to first token beside a batch over that without one, for each pair."""
    await first_tokens(url)
    ratios = []
    with httpx.Client(base_url=f"{url}/v1", timeout=120) as client:
        file = _upload(client, LINES)
        for pair in track(range(pairs), "First tokens beside a batch"):
            times = dict.fromkeys((True, False), 0.0)
            for beside in (True, False) if pair % 2 else (False, True):
                batch = _begin(client, file) if beside else None
                times[beside] = statistics.median(await first_tokens(url))
                if batch:
                    _cancel(client, batch)
            ratios.append(times[True] / times[False])
    return ratios


def _upload(client: httpx.Client, lines: int) -> str:
    def line(number: int) -> str:
        body = {
            "model": MODEL,
            "messages": [{"role": "user", "content": f"Tell me a story. {unique(8)}"}],
            "max_tokens": ANSWER_TOKENS,
            "temperature": 0,  # as the streams that it is compared with
            "top_p": 1,
            "logit_bias": ENDLESS,
        }
        where = {"method": "POST", "url": "/v1/chat/completions"}
        return json.dumps({"custom_id": str(number), **where, "body": body})

    content = "\n".join(map(line, range(lines)))
    form = {"file": ("lines.jsonl", content)}
    return client.post("/files", files=form, data={"purpose": "batch"}).json()["id"]


def _create(client: httpx.Client, file: str) -> str:
    body = {
        "input_file_id": file,
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    }
    return client.post("/batches", json=body).json()["id"]


def _begin(client: httpx.Client, file: str) -> str:
    batch = _create(client, file)
    while client.get(f"/batches/{batch}").json()["request_counts"]["completed"] < 1:
        time.sleep(0.1)
    return batch


def _cancel(client: httpx.Client, batch: str) -> None:
    client.post(f"/batches/{batch}/cancel")
    while client.get(f"/batches/{batch}").json()["status"] != "cancelled":
        time.sleep(0.1)


def _shown(name: str, ratios: list[float]) -> str:
    low, high = min(ratios), max(ratios)
    return f"{name}: median {statistics.median(ratios):.3f} ({low:.3f} to {high:.3f})"


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a GGUF file or a folder")
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--only", choices=("store", "batch"))
    options = parser.parse_args()
    if options.only != "batch":
        await storing(options.model, None, "SQLite", options.pairs)
        try:
            with postgresql.running() as databases:
                database = databases.new_database()
                await storing(options.model, database, "PostgreSQL", options.pairs)
        except pytest.skip.Exception as absent:
            print(absent)
    if options.only != "store":
        with server(options.model, None) as url:
            ratios = await rates_of_batches(url, options.pairs)
            print(_shown(f"rate of a batch over that of {STREAMS} streams", ratios))
            ratios = await cost_of_a_batch(url, options.pairs)
            print(_shown("time to first token beside a batch over without", ratios))


async def storing(model: Path, database: str | None, name: str, pairs: int) -> None:
    """Measure and print what storing in this database costs."""
    with server(model, database) as url:
        for count in (STREAMS, 2 * STREAMS):
            ratios = await cost_of_storing(url, count, pairs)
            print(_shown(f"{name}: rate with store over without, {count} answers", ratios))


if __name__ == "__main__":
    asyncio.run(main())
