"""Tries grammars out in processes that can be killed, so that none of them harms the server."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import msgspec

from minikin.constrain.subject import TOO_COMPLEX
from minikin.constrain.worker import LENGTH, Vocabulary
from minikin.errors import EngineFailure, Overloaded

WORKERS = 2
MAX_WAITING = 32
SECONDS = 5.0
"""A grammar that takes longer is refused."""
START_SECONDS = 30.0
KNOWN_GRAMMARS = 1_024

_SIMPLE = '{"grammars":[{"json_schema":{"type":"object"}}]}'
_DIED = (asyncio.IncompleteReadError, ConnectionError, RuntimeError)
"""What a pipe to a dead process raises; uvloop's own is the last."""
_ROOT = str(Path(__file__).parents[2])
"""Where the worker finds this package, be it installed or not."""


class GrammarChecker:
    """Tells whether a grammar can be followed, and remembers its latest verdicts.

    `vocabulary` is called once, when the first worker starts.
    """

    def __init__(self, vocabulary: Callable[[], Vocabulary]) -> None:
        self._make_vocabulary = vocabulary
        self._vocabulary: bytes | None = None
        self._verdicts: OrderedDict[bytes, str | None] = OrderedDict()
        self._idle: asyncio.LifoQueue[_Worker] = asyncio.LifoQueue()
        self._waiting = 0
        self._workers: list[_Worker] = []

    async def fault(self, grammar: str) -> str | None:
        """Why `grammar` can't be used, or None. Raises Overloaded if too many wait already."""
        digest = hashlib.sha256(grammar.encode()).digest()
        if digest in self._verdicts:
            self._verdicts.move_to_end(digest)
            return self._verdicts[digest]
        if self._waiting >= MAX_WAITING:
            raise Overloaded("Too many new schemas at once. Try again in a moment.")
        self._waiting += 1
        try:
            verdict = await self._ask(grammar)
        finally:
            self._waiting -= 1
        self._verdicts[digest] = verdict
        while len(self._verdicts) > KNOWN_GRAMMARS:
            self._verdicts.popitem(last=False)
        return verdict

    async def warm(self) -> None:
        """Start a worker, so that the first schema needn't wait for it."""
        await self.fault(_SIMPLE)

    async def stop(self) -> None:
        """End the workers."""
        for worker in self._workers:
            await worker.kill()

    async def _ask(self, grammar: str) -> str | None:
        if self._vocabulary is None:
            self._vocabulary = msgspec.msgpack.encode(self._make_vocabulary())
        if self._idle.empty() and len(self._workers) < WORKERS:
            worker = _Worker()
            self._workers.append(worker)
        else:
            worker = await self._idle.get()
        try:
            return await worker.ask(grammar, self._vocabulary)
        finally:
            self._idle.put_nowait(worker)


class _Worker:
    """One process, started when it is first needed and after each time it had to be killed."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def ask(self, grammar: str, vocabulary: bytes) -> str | None:
        finished = False
        try:
            if self._process is None or self._process.returncode is not None:
                await self._start(vocabulary)
            try:
                async with asyncio.timeout(SECONDS):
                    verdict = await self._exchange(grammar.encode())
            except (TimeoutError, *_DIED):
                return TOO_COMPLEX
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
                await self._exchange(_SIMPLE.encode())
        except (TimeoutError, *_DIED) as error:
            raise EngineFailure("The process that checks schemas could not be started.") from error

    async def _exchange(self, grammar: bytes) -> str | None:
        await self._write(grammar)
        assert self._process is not None
        assert self._process.stdout is not None
        (length,) = LENGTH.unpack(await self._process.stdout.readexactly(LENGTH.size))
        answer = await self._process.stdout.readexactly(length)
        return msgspec.msgpack.decode(answer, type=str | None)

    async def _write(self, frame: bytes) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(LENGTH.pack(len(frame)) + frame)
        await self._process.stdin.drain()
