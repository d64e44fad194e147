"""Ten times more requests than the server can answer: does it stay useful?

First as many clients as there are places, then an open loop of requests at a multiple of that rate,
then as many clients that retry at once. The report says how fast requests are refused, how much is
still answered, and whether anything hangs.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from bench.client import ENDLESS
from bench.server import Server, cpu_seconds, serving

TOKENS = 40
"""Of each answer."""
PLACES = 32
QUEUE = 64
HANG_SECONDS = 120.0
"""A request without an end for so long hangs."""
_numbers = itertools.count()
"""No prompt comes twice, so that every phase computes as much for each answer."""


@dataclass
class Count:
    """What the requests of one phase came to. Times are in seconds."""

    tokens: int = 0
    first: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    untruthful: int = 0
    """Refusals without a time to wait."""
    other: list[int] = field(default_factory=list)
    """Statuses that should not be there; 0 for a connection that broke."""
    hung: int = 0
    cpu: dict[str, float] = field(default_factory=dict)
    """Process -> CPU seconds. The clients share the processors with the server."""


def _request(host: str, number: int, tokens: int = TOKENS) -> bytes:
    body = json.dumps(
        {
            "model": "gpt-4.1-mini",
            "messages": [{"role": "user", "content": f"Count from {number}."}],
            "max_tokens": tokens,
            "temperature": 1,
            "stream": True,
            "logit_bias": ENDLESS,
        }
    ).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1",
        f"Host: {host}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "\r\n",
    )
    return "\r\n".join(head).encode() + body


class Client:
    """One connection that is used again for each request, as clients do."""

    def __init__(self, url: str, count: Count) -> None:
        self._host = urlsplit(url)
        self._count = count
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, number: int, tokens: int = TOKENS) -> int:
        """Send a request, and count what comes of it. Returns the status, 0 without one."""
        begun = time.perf_counter()
        try:
            async with asyncio.timeout(HANG_SECONDS):
                return await self._ask(_request(self._host.netloc, number, tokens), begun)
        except TimeoutError:
            self._count.hung += 1
        except (OSError, asyncio.IncompleteReadError):
            self._count.other.append(0)
        self.close()
        return 0

    def close(self) -> None:
        """Close the connection."""
        if self._streams:
            self._streams[1].close()
        self._streams = None

    async def _ask(self, request: bytes, begun: float) -> int:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host.hostname, self._host.port)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head.split(b" ", 2)[1])
        if b"transfer-encoding: chunked" in head:
            await self._stream(reader, begun)
            return status
        await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
        if status in (429, 503):
            self._count.refused.append(time.perf_counter() - begun)
            self._count.untruthful += b"retry-after:" not in head
        else:
            self._count.other.append(status)
        return status

    async def _stream(self, reader: asyncio.StreamReader, begun: float) -> None:
        seen = 0
        while size := int(await reader.readline(), 16):
            part = await reader.readexactly(size + 2)
            seen += part.count(b'"content":"') + part.count(b'"content": "')
            if seen == 2:  # the first chunk has the role
                self._count.first.append(time.perf_counter() - begun)
                seen += 1
            if b'data: {"error":' in part:  # not a word of the answer
                self._count.other.append(500)
            if b"[DONE]" in part:
                self._count.tokens += TOKENS
        await reader.readline()


async def closed(url: str, clients: int, seconds: float) -> Count:
    """Clients that send their next request as soon as they have an answer."""
    count, end = Count(), time.perf_counter() + seconds

    async def work() -> None:
        client = Client(url, count)
        while time.perf_counter() < end:
            await client.ask(next(_numbers))
        client.close()

    await asyncio.gather(*(work() for _ in range(clients)))
    return count


async def opened(url: str, rate: float, seconds: float) -> Count:
    """`rate` requests a second, whatever happens to them."""
    count, tasks = Count(), set()
    idle: list[Client] = []

    async def one(number: int) -> None:
        client = idle.pop() if idle else Client(url, count)
        await client.ask(number)
        idle.append(client)

    begun = time.perf_counter()
    for at in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, begun + at / rate - time.perf_counter()))
        task = asyncio.create_task(one(next(_numbers)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    for client in idle:
        client.close()
    return count


def _at(times: list[float], share: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * share))] if times else 0.0


def _line(name: str, count: Count, seconds: float) -> str:
    first, refused = count.first, count.refused
    return (
        f"| {name} | {count.tokens / seconds:.0f} | {statistics.median(first or [0]):.2f} | "
        f"{len(refused)} | {_at(refused, 0.5) * 1000:.0f} / {_at(refused, 0.99) * 1000:.0f} | "
        f"{len(count.other)} | {count.hung} | "
        + ", ".join(f"{name} {spent / seconds:.0%}" for name, spent in count.cpu.items())
        + " |"
    )


def _cpu(server: Server) -> dict[str, float]:
    """CPU seconds so far of the server's processes, and of the clients, which are this one."""
    spent: Counter[str] = Counter()
    for role, pid in server.processes.items():
        spent["workers" if "worker" in role else role] += cpu_seconds(pid)
    return {**spent, "clients": time.process_time()}


async def run(server: Server, seconds: float, times: float) -> list[tuple[str, Count, float]]:
    """Every phase: its name, what was counted, and how long it took."""
    phases, url = [], server.url

    async def phase(name: str, work: Coroutine[Any, Any, Count]) -> Count:
        begun, before = time.perf_counter(), _cpu(server)
        count = await work
        count.cpu = {name: spent - before.get(name, 0.0) for name, spent in _cpu(server).items()}
        phases.append((name, count, time.perf_counter() - begun))
        print(_line(*phases[-1]), flush=True)
        return count

    await closed(url, PLACES, 3)
    alone = await phase("uncontended", closed(url, PLACES, seconds / 2))
    rate = times * alone.tokens / TOKENS / phases[0][2]
    await phase(f"{times:g} times as many, {rate:.0f} a second", opened(url, rate, seconds))
    clients = int(times * PLACES)
    await phase(f"{clients} clients that retry at once", closed(url, clients, seconds / 2))
    return phases


async def cost_of_refusals(server: Server, number: int = 3_000) -> float:
    """CPU microseconds that the HTTP process spends on each refusal, when nothing else is asked."""
    count, taken = Count(), Count()
    holder = asyncio.create_task(Client(server.url, taken).ask(0, tokens=2_000))
    await asyncio.sleep(1)
    client = Client(server.url, count)
    await client.ask(0)
    before = cpu_seconds(server.process.pid)
    for _ in range(number):
        await client.ask(0)
    spent = cpu_seconds(server.process.pid) - before
    client.close()
    holder.cancel()
    assert len(count.refused) == number + 1, "some were not refused"
    return spent / number * 1e6


def goodput(phases: list[tuple[str, Count, float]]) -> float:
    """The rate of answers under overload, over the rate without."""
    (_, alone, spent), (_, many, took), *_ = phases
    return many.tokens / took / (alone.tokens / spent)


def summary(phases: list[tuple[str, Count, float]]) -> str:
    """The figures of the overload, in a line."""
    refused = phases[1][1].refused
    return (
        f"Under overload: {len(refused)} refusals in {_at(refused, 0.5) * 1000:.0f} ms at the "
        f"median and {_at(refused, 0.99) * 1000:.0f} ms at the 99th percentile, goodput "
        f"{goodput(phases):.0%} of uncontended, {sum(count.hung for _, count, _ in phases)} hangs."
    )


def faults(phases: list[tuple[str, Count, float]]) -> list[str]:
    """What is worse than it has to be."""
    many, share = phases[1][1], goodput(phases)
    found = {
        f"goodput is {share:.0%} of uncontended": share < 0.9,
        "refused in over 50 ms at the median": _at(many.refused, 0.5) > 0.05,
        "refused in over 250 ms at p99": _at(many.refused, 0.99) > 0.25,
        "nothing was refused": not many.refused,
        "requests hang": any(count.hung for _, count, _ in phases),
        "refusals name no time to wait": any(count.untruthful for _, count, _ in phases),
        "other failures": any(count.other for _, count, _ in phases),
    }
    return [text for text, is_fault in found.items() if is_fault]


def main() -> None:
    """Print the table. Exit code 1 if there is a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--times", type=float, default=10.0)
    given = parser.parse_args()
    options = ("--max-running", str(PLACES), "--max-queued", str(PLACES + QUEUE))
    print("| | tokens/s | first token, s | refused | in ms, p50 / p99 | other | hung | CPU |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    with serving(given.model, *options, "--no-access-log") as server:
        phases = asyncio.run(run(server, given.seconds, given.times))
    with serving(given.model, "--max-running", "1", "--max-queued", "1", "--no-access-log") as one:
        print(f"A refusal costs {asyncio.run(cost_of_refusals(one)):.0f} us of CPU time.")
    print(summary(phases))
    found = faults(phases)
    print("\n".join(f"FAULT: {text}" for text in found) or "No faults.")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
