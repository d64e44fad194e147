"""The caller's side: a worker in its own process, replaced if it exceeds a limit."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from minikin import logs
from minikin.bounded.death import is_from_outside
from minikin.bounded.frames import BadFrame, framed, receive_frame
from minikin.bounded.limits import MEMORY_IS_LIMITED, Limits
from minikin.memory import bytes_of

log = logging.getLogger(__name__)

_LOST = (
    TimeoutError,
    asyncio.IncompleteReadError,
    BadFrame,
    msgspec.MsgspecError,
    ConnectionError,
    RuntimeError,
)
"""The errors of a worker that hangs, died or writes invalid data. uvloop raises the last one
for a closed pipe."""
_CLOSED = (asyncio.IncompleteReadError, ConnectionError, RuntimeError)
"""Those of them that a death causes."""
_WATCH_SECONDS = 0.05
"""How often to look at the memory of a worker that the system does not limit."""
_REAP_SECONDS = 1.0
"""How long to wait for the exit status of a process that closed its pipes."""
_ROOT = str(Path(__file__).parents[2])
"""The folder where the worker finds this package, installed or not."""
_Reply = TypeVar("_Reply")


class WorkerLost(Exception):
    """The worker exceeded a limit, died or wrote invalid data. The next task gets a new one."""


class WorkerNotReady(Exception):
    """The worker did not start. `reason` is its own message, if there is one."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason or "it died or hung before it was ready")
        self.reason = reason


class BoundedProcess:
    """One worker. It starts on first use, and again after a loss.

    `module` is its program, which calls `worker.serve`. `setup` returns its first message as JSON.
    Messages are JSON because msgpack cannot represent every number that a client can send.
    """

    def __init__(self, module: str, setup: Callable[[], bytes], limits: Limits) -> None:
        self._module = module
        self._setup = setup
        self._limits = limits
        self._process: asyncio.subprocess.Process | None = None
        self._was_killed = False
        """Whether a signal from outside ended the last process."""
        self._most = limits.memory
        """The bytes of memory that the process may have."""

    @property
    def pid(self) -> int | None:
        """The process, if there is one."""
        return self._process.pid if self._process else None

    async def ask(self, task: Any, reply: type[_Reply]) -> _Reply:
        """The worker's reply to a task. The caller sends one task at a time.

        Raises WorkerLost, or WorkerNotReady if there is none. If a signal from outside ends the
        worker, the task runs once more: it is not the cause. A caller that cancels ends the worker,
        so that the next caller does not wait for an unwanted result.
        """
        body = msgspec.json.encode(task)
        return await self._again_if_killed(lambda: self._ask(body, reply))

    async def start(self) -> None:
        """Start the worker if it does not run. Raises WorkerNotReady."""
        await self._again_if_killed(self._start)

    async def _again_if_killed(self, attempt: Callable[[], Awaitable[_Reply]]) -> _Reply:
        self._was_killed = False
        try:
            return await attempt()
        except (WorkerLost, WorkerNotReady):
            if not self._was_killed:
                raise
            log.warning("%s: killed from outside. Trying once more", self._module)
            return await attempt()

    async def _ask(self, body: bytes, reply: type[_Reply]) -> _Reply:
        try:
            async with self._ended_unless_done():
                await self._start()
                async with asyncio.timeout(self._limits.patience), self._within_memory():
                    await self._write(body)
                    return await self._read(reply)
        except _LOST as error:
            log.debug("%s: lost: %r", self._module, error)
            raise WorkerLost from error

    async def _start(self) -> None:
        if self._process is not None and self._process.returncode is None:
            return
        await self.stop()
        setup = self._setup()
        try:
            async with self._ended_unless_done(), asyncio.timeout(self._limits.setup_patience):
                self._process = await self._spawn()
                self._most = self._limits.memory
                async with self._within_memory():
                    await self._write(msgspec.json.encode(self._limits))
                    await self._write(setup)
                    fault = await self._read(str | None)
                if fault is not None:
                    raise WorkerNotReady(fault)
                self._most += bytes_of(self._process.pid)
        except (OSError, *_LOST) as error:
            raise WorkerNotReady from error

    async def stop(self) -> None:
        """Stop the process, if there is one."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        await process.communicate()  # also closes the pipes

    @asynccontextmanager
    async def _ended_unless_done(self) -> AsyncIterator[None]:
        """Stops the process if the block fails or is cancelled, because a task can be running."""
        try:
            yield
        except BaseException as error:
            try:
                if self._process is not None and isinstance(error, _CLOSED):
                    self._was_killed = await _is_killed(self._process)
            finally:
                await self.stop()
            raise

    @asynccontextmanager
    async def _within_memory(self) -> AsyncIterator[None]:
        """Ends a process that needs too much memory in the block, if its system does not."""
        watch = None if MEMORY_IS_LIMITED else asyncio.create_task(self._watch_memory())
        try:
            yield
        finally:
            if watch:
                watch.cancel()

    async def _watch_memory(self) -> None:
        assert self._process is not None
        while bytes_of(self._process.pid) <= self._most:
            await asyncio.sleep(_WATCH_SECONDS)
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGABRT)  # the signal of a fault of its own

    async def _spawn(self) -> asyncio.subprocess.Process:
        path = os.pathsep.join(filter(None, [_ROOT, os.environ.get("PYTHONPATH")]))
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self._module,
            logs.style(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C in the terminal is for the caller
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


async def _is_killed(process: asyncio.subprocess.Process) -> bool:
    """Whether a signal from outside ended a process that closed its pipes."""
    try:
        return is_from_outside(await asyncio.wait_for(process.wait(), _REAP_SECONDS))
    except TimeoutError:
        return False
