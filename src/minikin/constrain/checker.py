"""Has grammars made in processes that can be killed, so that no schema harms the server."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import msgspec

from minikin.constrain.plan import Plan, SchemaPart
from minikin.constrain.schema.subject import TOO_COMPLEX, Subject
from minikin.constrain.worker import LENGTH, Verdict, Vocabulary
from minikin.errors import EngineFailure, InvalidRequest, Overloaded

WORKERS = 2
MAX_WAITING = 32
SECONDS = 5.0
"""A plan that takes longer is refused."""
START_SECONDS = 30.0
KNOWN_BYTES = 32 * 1024 * 1024
"""Of the verdicts that are remembered."""

_SIMPLE = Plan(answer=SchemaPart(Subject("", ""), {"type": "object"}))
_DIED = (asyncio.IncompleteReadError, ConnectionError, RuntimeError)
"""What a pipe to a dead process raises; uvloop's own is the last."""
_ROOT = str(Path(__file__).parents[2])
"""Where the worker finds this package, be it installed or not."""


class TooManySchemas(Overloaded):
    """More new schemas wait than can be made grammars of in a short time."""

    status = 429
    type = "requests"

    def __init__(self) -> None:
        super().__init__("Rate limit reached for new schemas. Please try again in 5s.")
        self.code, self.retry_after = "rate_limit_exceeded", 5


class GrammarChecker:
    """Makes grammars that can be followed, and remembers its latest verdicts.

    `vocabulary` is called once, when the first worker starts.
    """

    def __init__(self, vocabulary: Callable[[], Vocabulary]) -> None:
        self._make_vocabulary = vocabulary
        self._vocabulary: bytes | None = None
        self._verdicts: OrderedDict[bytes, Verdict] = OrderedDict()
        self._known_bytes = 0
        self._idle: asyncio.LifoQueue[_Worker] = asyncio.LifoQueue()
        self._waiting = 0
        self._workers: list[_Worker] = []

    async def grammar(self, plan: Plan) -> str:
        """The grammar of `plan`.

        Raises InvalidRequest if it has none that can be followed, TooManySchemas if too many wait.
        """
        verdict = await self._verdict(plan)
        if verdict.grammar is None:
            raise InvalidRequest(verdict.message, param=verdict.param, code=verdict.code)
        return verdict.grammar

    async def _verdict(self, plan: Plan) -> Verdict:
        frame = msgspec.json.encode(plan)
        digest = hashlib.sha256(frame).digest()
        if digest in self._verdicts:
            self._verdicts.move_to_end(digest)
            return self._verdicts[digest]
        if self._waiting >= MAX_WAITING:
            raise TooManySchemas
        self._waiting += 1
        try:
            verdict = await self._ask(frame)
        finally:
            self._waiting -= 1
        if verdict is None:
            verdict = await self._too_complex(plan)
        self._remember(digest, verdict)
        return verdict

    async def _too_complex(self, plan: Plan) -> Verdict:
        """The refusal of a plan that a worker died of: it names the schema at fault."""
        if len(plan.parts) == 1:
            return Verdict.against(plan.parts[0].subject.too_complex())
        for part in plan.parts:
            verdict = await self._verdict(Plan(answer=part))
            if verdict.grammar is None:
                return verdict
        refusal = InvalidRequest(f"Invalid 'tools': together, {TOO_COMPLEX}", param="tools")
        return Verdict.against(refusal)

    def _remember(self, digest: bytes, verdict: Verdict) -> None:
        self._verdicts[digest] = verdict
        self._known_bytes += _size(verdict)
        while self._known_bytes > KNOWN_BYTES:
            _, oldest = self._verdicts.popitem(last=False)
            self._known_bytes -= _size(oldest)

    async def warm(self) -> None:
        """Start a worker, so that the first schema needn't wait for it."""
        await self.grammar(_SIMPLE)

    async def stop(self) -> None:
        """End the workers."""
        for worker in self._workers:
            await worker.kill()

    async def _ask(self, plan: bytes) -> Verdict | None:
        if self._vocabulary is None:
            self._vocabulary = msgspec.msgpack.encode(self._make_vocabulary())
        if self._idle.empty() and len(self._workers) < WORKERS:
            worker = _Worker()
            self._workers.append(worker)
        else:
            worker = await self._idle.get()
        try:
            return await worker.ask(plan, self._vocabulary)
        finally:
            self._idle.put_nowait(worker)


class _Worker:
    """One process, started when it is first needed and after each time it had to be killed."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def ask(self, plan: bytes, vocabulary: bytes) -> Verdict | None:
        """The verdict; None if it took too much time or memory."""
        finished = False
        try:
            if self._process is None or self._process.returncode is not None:
                await self._start(vocabulary)
            try:
                async with asyncio.timeout(SECONDS):
                    verdict = await self._exchange(plan)
            except (TimeoutError, *_DIED):
                return None
            finished = True
            return verdict
        finally:
            if not finished:  # also when the client left in the middle
                await self.kill()

    async def kill(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        await process.wait()

    async def _start(self, vocabulary: bytes) -> None:
        """Raises EngineFailure if the process dies at once or hangs."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "minikin.constrain.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": _ROOT},
        )
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._write(vocabulary)
                # This compiles at once: from here on the time is the grammar's own.
                await self._exchange(msgspec.json.encode(_SIMPLE))
        except (TimeoutError, *_DIED) as error:
            raise EngineFailure("The process that checks schemas could not be started.") from error

    async def _exchange(self, plan: bytes) -> Verdict:
        await self._write(plan)
        assert self._process is not None
        assert self._process.stdout is not None
        (length,) = LENGTH.unpack(await self._process.stdout.readexactly(LENGTH.size))
        answer = await self._process.stdout.readexactly(length)
        return msgspec.json.decode(answer, type=Verdict)

    async def _write(self, frame: bytes) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(LENGTH.pack(len(frame)) + frame)
        await self._process.stdin.drain()


def _size(verdict: Verdict) -> int:
    return 1_000 + len(verdict.grammar or verdict.message)
