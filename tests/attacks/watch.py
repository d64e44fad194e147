"""Runs cases against a server, and checks that nothing else changes."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import httpx

from tests.attacks.case import ASK, CHAT, Case, Target
from tests.patience import PATIENCE
from tests.processes import children
from tests.real_model import RunningServer

CANARY = ASK | {
    "messages": [{"role": "user", "content": "Tell me a long story about the sea."}],
    "max_tokens": 60,
    "stream": True,
    "logit_bias": {"0": -100, "2": -100},
}
"""A repeatable stream that does not end before its limit."""
_LAG = re.compile(r'minikin_event_loop_lag_seconds_bucket{le="([^"]+)"} (\S+)')
_MEMORY = 1.05
_SETTLE_SECONDS = 3.0
"""How long memory may take to return."""
_RUNS = 3
_LEAST = 4 * 1024 * 1024
"""Growth that is no growth: one arena of the allocator."""


@dataclass
class Outcome:
    """What a case did."""

    case: Case
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0
    lag: float = 0.0
    """The longest, in seconds: the upper limit of its bucket."""
    memory: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Process -> bytes before and after."""

    @property
    def growth(self) -> float:
        """The largest growth of a process."""
        return max((after / before for before, after in self.memory.values()), default=1.0)


class Watch:
    """A server, its canary and its log."""

    def __init__(self, server: RunningServer, client: httpx.AsyncClient, log: IO[bytes]) -> None:
        self.target = Target(server, client, Path(log.name))
        self._server = server
        self._client = client
        self._log = log
        self._solo = ""

    async def settle(self) -> None:
        """Make the server use the memory that it uses anyway."""
        schema = {"name": "x", "schema": {"type": "object"}}
        wanted = {"type": "json_schema", "json_schema": schema}
        stories = [{"messages": [{"role": "user", "content": f"{at} " * 900}]} for at in range(9)]
        for change in ({"response_format": wanted}, *stories, {"n": 8}):
            await self._client.post(CHAT, json=ASK | change)

    async def hear(self) -> None:
        """Hear the canary alone."""
        await self._canary()
        self._solo = await self._canary()

    async def run(self, case: Case) -> Outcome:
        """Run one case."""
        outcome = Outcome(case)
        pids, before = self._pids(), self._memory()
        seen, lags = self._log_size(), await self._lags()
        started = time.monotonic()
        try:
            async with self._beside(case, outcome):
                outcome.faults += await asyncio.wait_for(case.check(self.target), 4 * PATIENCE)
        except Exception as error:
            outcome.faults.append(f"{type(error).__name__}: {error}")
        outcome.seconds = time.monotonic() - started
        outcome.faults += await self._after()
        if self._pids()["engine"] != pids["engine"]:
            outcome.faults.append("another engine process")
        self._check_lag(lags, await self._lags(), outcome)
        self._check_log(seen, outcome)
        if case.memory:
            await self._check_memory(before, outcome)
        return outcome

    async def run_together(self, cases: list[Case]) -> list[Outcome]:
        """Run cases beside one canary, one after the other, without a look at the memory."""
        around = Outcome(Case(0, "all", _nothing, lag=0.5))  # the machine can be busy
        outcomes = [around]
        seen, pids, lags = self._log_size(), self._pids(), await self._lags()
        async with self._beside(around.case, around):
            for case in cases:
                outcome = Outcome(case, await case.check(self.target))
                outcome.faults += await self._after()
                outcomes.append(outcome)
        self._check_log(seen, around)
        self._check_lag(lags, await self._lags(), around)
        if self._pids()["engine"] != pids["engine"]:
            around.faults.append("another engine process")
        return outcomes

    async def run_until_memory_stays(self, case: Case) -> Outcome:
        """Run a case, and again if memory grew: what has a limit grows once, and then stays."""
        others: list[str] = []
        for _ in range(_RUNS):
            outcome = await self.run(case)
            others += [fault for fault in outcome.faults if not _is_of_memory(fault)]
            grown = list(filter(_is_of_memory, outcome.faults))
            if not grown:
                break
        outcome.faults = [*dict.fromkeys(others), *grown]
        return outcome

    async def _after(self) -> list[str]:
        try:
            short = await self._client.post(CHAT, json=ASK | {"max_tokens": 1})
        except httpx.HTTPError as error:
            return [f"no short answer: {error!r}"]
        return [] if short.status_code == 200 else [f"a short answer: {short.status_code}"]

    async def _check_memory(self, before: dict[str, int], outcome: Outcome) -> None:
        deadline = time.monotonic() + _SETTLE_SECONDS
        while True:
            now = self._memory()
            outcome.memory = {name: (before[name], now[name]) for name in before if name in now}
            grown = [
                f"{name} {was >> 20} -> {now >> 20} MB"
                for name, (was, now) in outcome.memory.items()
                if now > was * _MEMORY and now > was + _LEAST
            ]
            if not grown or time.monotonic() > deadline:
                outcome.faults += [f"memory: {each}" for each in grown]
                return
            await asyncio.sleep(0.2)

    @staticmethod
    def _check_lag(before: dict[float, float], after: dict[float, float], outcome: Outcome) -> None:
        outcome.lag = _longest(before, after)
        if outcome.lag > outcome.case.lag:
            outcome.faults.append(f"the event loop stopped for up to {outcome.lag:g} s")

    def _check_log(self, seen: int, outcome: Outcome) -> None:
        with Path(self._log.name).open("rb") as file:
            file.seek(seen)
            text = file.read().decode(errors="replace")
        if "Traceback" in text:
            outcome.faults.append("a traceback in the log: " + text[-300:])
        if re.search("[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]", text):
            outcome.faults.append("control characters in the log")

    @asynccontextmanager
    async def _beside(self, case: Case, outcome: Outcome) -> AsyncIterator[None]:
        """Canaries run meanwhile, one after the other, each as it runs alone."""
        if not case.canary:
            yield
            return
        begun, done = asyncio.Event(), asyncio.Event()
        heard = asyncio.create_task(self._canaries(begun, done))
        await begun.wait()
        try:
            yield
        finally:
            done.set()
            if await heard != {self._solo}:
                outcome.faults.append("the stream beside it changed")

    async def _canaries(self, begun: asyncio.Event, done: asyncio.Event) -> set[str]:
        heard = set()
        while not heard or not done.is_set():
            heard.add(await self._canary(begun))
        return heard

    async def _canary(self, begun: asyncio.Event | None = None) -> str:
        said = ""
        try:
            async with self._client.stream("POST", CHAT, json=CANARY) as answer:
                async for line in answer.aiter_lines():
                    if begun:
                        begun.set()
                    if line.startswith("data: {"):
                        chunk = json.loads(line[6:])
                        if "error" in chunk:
                            return line
                        said += chunk["choices"][0]["delta"].get("content") or ""
        except httpx.HTTPError as error:
            return repr(error)
        finally:
            if begun:
                begun.set()
        return said

    def _pids(self) -> dict[str, int]:
        """The server's processes by their names."""
        found = {"http": self._server.process.pid}
        for pid, words in children(found["http"]).items():
            for module, name in (
                ("minikin.engine_main", "engine"),
                ("minikin.chat.template_worker", "template"),
                ("minikin.constrain.worker", f"grammar {pid}"),
            ):
                if module in words:
                    found[name] = pid
        return {"engine": 0} | found

    def _memory(self) -> dict[str, int]:
        """Resident bytes of each process."""
        sizes = {}
        for name, pid in self._pids().items():
            try:
                sizes[name] = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
            except OSError:
                continue
        return sizes

    def _log_size(self) -> int:
        return Path(self._log.name).stat().st_size

    async def _lags(self) -> dict[float, float]:
        text = (await self._client.get("/metrics")).text
        return {float(limit): float(count) for limit, count in _LAG.findall(text)}


async def _nothing(target: Target) -> list[str]:
    return []


def _is_of_memory(fault: str) -> bool:
    return fault.startswith("memory")


def _longest(before: dict[float, float], after: dict[float, float]) -> float:
    """The upper limit of the highest bucket with a new lag."""
    new = {limit: after[limit] - before.get(limit, 0) for limit in sorted(after)}
    return min((limit for limit in new if new[limit] == new[max(new)]), default=0.0)
