"""Mixed traffic for as long as wanted: does the server stay as it was?

The report has the slopes of resident memory of each process after the first quarter, descriptors,
threads, and the 99th percentile of the time to the first token in each quarter.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from bench.server import Server, serving

SAMPLE_SECONDS = 5.0
MOST_SLOPE = 1.0
"""Megabytes an hour."""
EXPECTED = (200, 400, 404, 503)
"""Statuses that this traffic can get."""
_SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "count": {"type": "integer"}},
    "required": ["name", "count"],
    "additionalProperties": False,
}
_TOOL = {"type": "function", "function": {"name": "look", "parameters": _SCHEMA}}


@dataclass
class Samples:
    """What was seen, with times in seconds since the start."""

    memory: dict[str, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))
    """Process -> resident bytes."""
    descriptors: list[tuple[float, int]] = field(default_factory=list)
    threads: list[tuple[float, int]] = field(default_factory=list)
    first: list[tuple[float, float]] = field(default_factory=list)
    """Time to the first token."""
    statuses: Counter[str] = field(default_factory=Counter)


class Traffic:
    """One client that sends requests of every kind, one after the other."""

    def __init__(
        self, server: Server, chance: random.Random, samples: Samples, begun: float
    ) -> None:
        self._chance = chance
        self._samples = samples
        self._begun = begun
        self._client = httpx.AsyncClient(base_url=f"{server.url}/v1", timeout=300)

    async def run(self, end: float) -> None:
        """Send requests until `end`."""
        kinds = [self._plain, self._stream, self._stream, self._structured, self._tool,
                 self._stored, self._leaves, self._mistake, self._responses]  # fmt: skip
        async with self._client:
            while time.perf_counter() < end:
                try:
                    await self._chance.choice(kinds)()
                except httpx.TransportError as error:
                    self._samples.statuses[type(error).__name__] += 1

    def _body(self, **more: Any) -> dict[str, Any]:
        words = " ".join(self._chance.choices(["sun", "moon", "tree", "house", "cat", "dog"], k=40))
        content = f"Continue: {words * self._chance.choice((1, 1, 1, 8))}"
        messages = [{"role": "user", "content": content}]
        tokens = self._chance.choice((8, 32, 64))
        return {"model": "gpt-4.1-mini", "messages": messages, "max_tokens": tokens, **more}

    async def _post(self, body: dict[str, Any], path: str = "/chat/completions") -> httpx.Response:
        answer = await self._client.post(path, json=body)
        self._samples.statuses[str(answer.status_code)] += 1
        return answer

    async def _plain(self) -> None:
        await self._post(self._body())

    async def _structured(self) -> None:
        # Few schemas, as applications have.
        name = f"field_{self._chance.randrange(5)}"
        schema = {**_SCHEMA, "properties": {**_SCHEMA["properties"], name: {"type": "number"}}}
        schema["required"] = list(schema["properties"])
        form = {"name": "x", "strict": True, "schema": schema}
        await self._post(self._body(response_format={"type": "json_schema", "json_schema": form}))

    async def _tool(self) -> None:
        await self._post(self._body(tools=[_TOOL], tool_choice="required"))

    async def _stored(self) -> None:
        answer = await self._post(self._body(store=True))
        if answer.status_code == 200:
            path = f"/chat/completions/{answer.json()['id']}"
            await self._client.get(path)
            await self._client.get("/chat/completions", params={"limit": 20})
            await self._client.delete(path)

    async def _responses(self) -> None:
        body = {"model": "gpt-4.1-mini", "input": "Hello", "max_output_tokens": 16}
        answer = await self._post(body, "/responses")
        if answer.status_code == 200:
            await self._client.delete(f"/responses/{answer.json()['id']}")

    async def _mistake(self) -> None:
        await self._post(self._body(temperature=9))

    async def _leaves(self) -> None:
        try:
            async with asyncio.timeout(self._chance.uniform(0.01, 0.5)):
                await self._client.post("/chat/completions", json=self._body())
        except TimeoutError:
            self._samples.statuses["left"] += 1

    async def _stream(self) -> None:
        begun = time.perf_counter()
        async with self._client.stream(
            "POST", "/chat/completions", json=self._body(stream=True)
        ) as answer:
            self._samples.statuses[str(answer.status_code)] += 1
            seen = False
            async for line in answer.aiter_lines():
                if not seen and '"content":"' in line and '"content":""' not in line:
                    now, seen = time.perf_counter(), True
                    self._samples.first.append((now - self._begun, now - begun))


def sample(server: Server, at: float, samples: Samples) -> None:
    """Note what the processes use now."""
    descriptors = threads = 0
    for role, pid in server.processes.items():
        try:
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            descriptors += len(list(Path(f"/proc/{pid}/fd").iterdir()))
            threads += len(list(Path(f"/proc/{pid}/task").iterdir()))
        except OSError:
            continue
        samples.memory[role].append((at, pages * os.sysconf("SC_PAGE_SIZE")))
    samples.descriptors.append((at, descriptors))
    samples.threads.append((at, threads))


async def run(server: Server, seconds: float, clients: int) -> Samples:
    """Send the traffic of so many clients for so long."""
    samples, begun = Samples(), time.perf_counter()
    traffic = [Traffic(server, random.Random(i), samples, begun) for i in range(clients)]
    tasks = [asyncio.create_task(client.run(begun + seconds)) for client in traffic]
    while (at := time.perf_counter() - begun) < seconds:
        await asyncio.to_thread(sample, server, at, samples)
        await asyncio.sleep(SAMPLE_SECONDS)
    await asyncio.gather(*tasks)
    return samples


def slope(points: list[tuple[float, int]], after: float) -> float:
    """Megabytes an hour, from the time `after` on."""
    late = [(at, value) for at, value in points if at >= after]
    if len(late) < 3:
        return 0.0
    times, values = zip(*late, strict=True)
    return float(np.polyfit(times, values, 1)[0]) * 3600 / 1e6


def report(samples: Samples, seconds: float) -> list[str]:
    """The lines of the report."""
    lines = ["| process | MB in the end | MB an hour after the first quarter |", "|---|---|---|"]
    for role, points in sorted(samples.memory.items()):
        hourly = slope(points, seconds / 4)
        lines.append(f"| {role} | {points[-1][1] / 1e6:.0f} | {hourly:+.1f} |")
    for name, points in (("descriptors", samples.descriptors), ("threads", samples.threads)):
        late = [value for at, value in points if at >= seconds / 4]
        lines.append(f"\n{name}: {min(late)} to {max(late)}, {late[-1]} in the end")
    quarters = [
        [took for at, took in samples.first if seconds * i / 4 <= at < seconds * (i + 1) / 4]
        for i in range(4)
    ]
    tails = ", ".join(f"{np.percentile(times, 99):.2f}" if times else "-" for times in quarters)
    lines.append(f"\np99 of the time to the first token in each quarter, seconds: {tails}")
    counts = ", ".join(f"{status}: {count}" for status, count in samples.statuses.most_common())
    return [*lines, f"\nanswers: {counts}"]


def main() -> None:
    """Print the report. Exit code 1 if an answer failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--seconds", type=float, default=7200.0)
    parser.add_argument("--clients", type=int, default=8)
    given = parser.parse_args()
    with serving(given.model, "--no-access-log") as server:
        samples = asyncio.run(run(server, given.seconds, given.clients))
    print("\n".join(report(samples, given.seconds)))
    known = {*map(str, EXPECTED), "left"}
    sys.exit(bool(samples.statuses.keys() - known))


if __name__ == "__main__":
    main()
