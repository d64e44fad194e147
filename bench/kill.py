"""Kills a process of the server at random moments under streams, again and again.

After each kill: every client gets the end of its stream or an error within a second, no process is
left behind, the server is ready again, no earlier request or schema is refused, and the answer to
the same request is what it was before.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx

from bench.client import ENDLESS
from bench.server import Server, is_running, serving

STREAMS = 16
TOLD_SECONDS = 1.0
READY_SECONDS = 5.0
GONE_SECONDS = 10.0
"""After this time, a process that lost its server is left behind."""
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "count": {"type": "integer"}},
    "required": ["city", "count"],
    "additionalProperties": False,
}


@dataclass
class Report:
    """What was seen after the kills."""

    kills: int = 0
    told: list[float] = field(default_factory=list)
    """Seconds from a kill of the HTTP process or an engine to the last end of a stream."""
    ready: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    """Kind of fault -> how often."""

    def fault(self, kind: str, text: str) -> None:
        """Note a fault of one of KINDS."""
        self.counts[kind] += 1
        self.faults.append(text)


KINDS = ("streams without a last word", "processes left", "good requests or schemas refused",
         "answers unlike those before")  # fmt: skip


def _body(number: int, **more: Any) -> dict[str, Any]:
    return {
        "model": "gpt-4.1-mini",
        "messages": [{"role": "user", "content": f"Tell me about the number {number}."}],
        "max_tokens": 60,
        "temperature": 0,
        **more,
    }


def _structured(number: int) -> dict[str, Any]:
    form = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": _SCHEMA}}
    return _body(number, response_format=form)


async def _stream(client: httpx.AsyncClient, url: str, number: int) -> tuple[float, bool]:
    """The time at which a stream ended, and whether it was whole or its client was told why not."""
    body = _body(number, stream=True, max_tokens=400, logit_bias=ENDLESS)
    told = False
    try:
        async with client.stream("POST", f"{url}/v1/chat/completions", json=body) as answer:
            told = answer.status_code >= 400
            async for line in answer.aiter_lines():
                told = told or line == "data: [DONE]" or line.startswith('data: {"error":')
    except httpx.TransportError:
        told = True  # a connection that breaks says so
    return time.perf_counter(), told


async def _one_kill(server: Server, role: str, chance: random.Random, report: Report) -> None:
    pid = server.processes.get(role)
    if pid is None:
        return
    async with httpx.AsyncClient(timeout=120) as client:
        tasks = [
            asyncio.create_task(_stream(client, server.url, chance.randrange(10**6)))
            for _ in range(STREAMS)
        ]
        await asyncio.sleep(chance.uniform(0.0, 2.0))
        before = [task for task in tasks if not task.done()]
        killed = time.perf_counter()
        os.kill(pid, signal.SIGKILL)
        report.kills += 1
        again = asyncio.to_thread(_wait_ready_again, server, role, pid)
        *ends, ready = await asyncio.gather(*tasks, again)
    report.ready.append(ready - killed)
    if role == "engine_main" and before:
        report.told.append(max(0.0, max(end for end, _ in ends) - killed))
    if not all(told for _, told in ends):
        report.fault(KINDS[0], f"{role}: a stream ended without a word")
    for _ in _left_behind([pid]):
        report.fault(KINDS[1], f"{role}: the process is still there")


def _wait_ready_again(server: Server, role: str, pid: int) -> float:
    """Wait until the server is ready after a kill. Returns the time.

    Streams that the kill does not end run meanwhile. An engine's server is not ready before the
    next engine.
    """
    gone = {pid, None} if role == "engine_main" else {pid}
    while server.processes.get(role) in gone:
        time.sleep(0.01)
    server.wait_ready()
    return time.perf_counter()


def _answers(server: Server) -> list[Any]:
    """The answers to requests that nobody may refuse. Raises HTTPStatusError."""
    found = []
    for body in (_body(1), _body(2), _structured(3)):
        answer = httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=120)
        answer.raise_for_status()
        found.append(answer.json()["choices"])
    return found


def kill_workers(model: str, times: int, chance: random.Random) -> Report:
    """Kill the engine and the workers of one server."""
    report = Report()
    with serving(model, "--no-access-log", "--log-level", "error") as server:
        expected = _answers(server)
        for _ in range(times):
            roles = [role for role in server.processes if role not in ("http", "other")]
            role = chance.choice(roles)
            asyncio.run(_one_kill(server, role, chance, report))
            try:
                if _answers(server) != expected:
                    report.fault(KINDS[3], f"{role}: another answer than before")
            except httpx.HTTPStatusError as error:
                refused = error.response.text[:200]
                report.fault(KINDS[2], f"{role}: a good request got {refused}")
    return report


def kill_servers(model: str, times: int, chance: random.Random, report: Report) -> None:
    """Kill the HTTP process, each time of a new server."""
    for _ in range(times):
        with serving(model, "--no-access-log", "--log-level", "error") as server:
            processes = {role: pid for role, pid in server.processes.items() if role != "http"}
            asyncio.run(_killed_whole(server, chance, report))
            left = _left_behind(list(processes.values()))
            roles = [role for role, pid in processes.items() if pid in left]
            for role in roles:
                report.fault(KINDS[1], f"http: {role} is left behind")


def _left_behind(pids: list[int]) -> list[int]:
    """Those of the processes that still run after some time. A large one takes a moment to end."""
    end = time.perf_counter() + GONE_SECONDS
    while any(map(is_running, pids)) and time.perf_counter() < end:
        time.sleep(0.05)
    return list(filter(is_running, pids))


async def _killed_whole(server: Server, chance: random.Random, report: Report) -> None:
    async with httpx.AsyncClient(timeout=60) as client:
        tasks = [
            asyncio.create_task(_stream(client, server.url, chance.randrange(10**6)))
            for _ in range(STREAMS)
        ]
        await asyncio.sleep(chance.uniform(0.0, 2.0))
        killed = time.perf_counter()
        os.kill(server.process.pid, signal.SIGKILL)
        ends = await asyncio.gather(*tasks)
    late = max(end for end, _ in ends) - killed
    report.told.append(max(0.0, late))


def main() -> None:
    """Print what was seen. Exit code 1 if there is a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--times", type=int, default=100, help="kills of the engine and workers")
    parser.add_argument("--servers", type=int, default=10, help="kills of the whole server")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    chance = random.Random(given.seed)
    report = kill_workers(given.model, given.times, chance)
    kill_servers(given.model, given.servers, chance, report)
    for name, seconds, limit in (
        ("told", report.told, TOLD_SECONDS), ("ready", report.ready, READY_SECONDS)
    ):  # fmt: skip
        if seconds:
            print(
                f"{name} after a kill: median {statistics.median(seconds):.2f} s, at most "
                f"{max(seconds):.2f} s, {sum(s > limit for s in seconds)} over {limit:g} s"
            )
    print(f"{report.kills} kills of engine and workers, {given.servers} of the server")
    print(", ".join(f"{kind}: {report.counts[kind]}" for kind in KINDS))
    if max(report.told, default=0) > TOLD_SECONDS:
        report.faults.append("a client was told too late")
    if max(report.ready, default=0) > READY_SECONDS:
        report.faults.append("the server was ready too late")
    print("\n".join(f"FAULT: {fault}" for fault in report.faults) or "No faults.")
    sys.exit(bool(report.faults))


if __name__ == "__main__":
    main()
