"""The side of whoever asks: a worker in a process of its own, replaced when it goes too far."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from minikin import logs
from minikin.bounded.frames import BadFrame, framed, receive_frame
from minikin.bounded.limits import Limits

log = logging.getLogger(__name__)

_LOST = (
    TimeoutError,
    asyncio.IncompleteReadError,
    BadFrame,
    msgspec.MsgspecError,
    ConnectionError,
    RuntimeError,
)
"""A worker that hangs, has died or writes rubbish; the last is uvloop's word for a closed pipe."""
_ROOT = str(Path(__file__).parents[2])
"""Where the worker finds this package, be it installed or not."""
_Reply = TypeVar("_Reply")


class WorkerLost(Exception):
    """The worker took too much, died or wrote rubbish. The next task gets a new one."""


class WorkerNotReady(Exception):
    """The worker could not be started; `reason` is its own word on that, if it gave one."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason or "it died or hung before it was ready")
        self.reason = reason


class BoundedProcess:
    """One worker, started when it is first needed and after each time it was lost.

    `module` is its program, which calls `worker.serve`; `setup` gives its first message as JSON.
    Messages are JSON because msgpack has no room for every number that a client may send.
    """

    def __init__(self, module: str, setup: Callable[[], bytes], limits: Limits) -> None:
        self._module = module
        self._setup = setup
        self._limits = limits
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The process, if there is one."""
        return self._process.pid if self._process else None

    async def ask(self, task: Any, reply: type[_Reply]) -> _Reply:
        """The worker's reply to a task. One at a time: whoever calls sees to that.

        Raises WorkerLost, or WorkerNotReady if there is none. A caller who leaves in the middle
        ends the worker, so that the next one needn't wait for what nobody wants.
        """
        body = msgspec.json.encode(task)
        try:
            async with self._ended_unless_done():
                await self.start()
                async with asyncio.timeout(self._limits.patience):
                    await self._write(body)
                    return await self._read(reply)
        except _LOST as error:
            log.debug("%s: lost: %r", self._module, error)
            raise WorkerLost from error

    async def start(self) -> None:
        """Start the worker, unless it runs. Raises WorkerNotReady."""
        if self._process is not None and self._process.returncode is None:
            return
        await self.stop()
        setup = self._setup()
        try:
            async with self._ended_unless_done(), asyncio.timeout(self._limits.setup_patience):
                self._process = await self._spawn()
                await self._write(msgspec.json.encode(self._limits))
                await self._write(setup)
                if (fault := await self._read(str | None)) is not None:
                    raise WorkerNotReady(fault)
        except (OSError, *_LOST) as error:
            raise WorkerNotReady from error

    async def stop(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        await process.communicate()  # which closes the pipes too

    @asynccontextmanager
    async def _ended_unless_done(self) -> AsyncIterator[None]:
        """Ends the process if the block fails or is cancelled: it may be in the middle of it."""
        try:
            yield
        except BaseException:
            await self.stop()
            raise

    async def _spawn(self) -> asyncio.subprocess.Process:
        path = os.pathsep.join(filter(None, [_ROOT, os.environ.get("PYTHONPATH")]))
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self._module,
            logs.level(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": path},
        )

    async def _write(self, body: bytes) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(framed(body))
        await self._process.stdin.drain()

    async def _read(self, kind: Any) -> Any:
        assert self._process is not None
        assert self._process.stdout is not None
        return msgspec.json.decode(await receive_frame(self._process.stdout), type=kind)
