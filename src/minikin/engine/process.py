"""The engine in a process of its own: started, watched, and started again when it dies."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections.abc import AsyncGenerator

from minikin.config import EngineSettings
from minikin.engine.channel import (
    AsyncReader,
    Cancel,
    Command,
    Events,
    Load,
    Loaded,
    LoadFailed,
    Submit,
    frame,
)
from minikin.engine.messages import Event, GenerationRequest, ModelInfo
from minikin.errors import EngineFailure, ModelFileError, Overloaded

log = logging.getLogger(__name__)

LONGEST_PAUSE = 30.0
"""Seconds between two starts of an engine that keeps dying."""

ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE"}
"""PyTorch's threads sleep while they wait. Spinning, on cores that others use too, they keep those
they wait for from running: a prompt of 1,000 tokens took ten times as long."""

DIED = "The engine stopped while it worked on this request. It is being restarted; try again."


class EngineProcess:
    """The server's side of the engine.

    A native crash ends the requests that ran, with EngineFailure, and nothing else: the process
    is started again, and `is_ready` tells when it answers.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self.restarts = 0
        self._info: ModelInfo | None = None
        self._ready = asyncio.Event()
        self._refused: ModelFileError | None = None
        self._child: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._streams: dict[str, asyncio.Queue[Event | None]] = {}
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def is_ready(self) -> bool:
        """Whether the model answers now."""
        return self._ready.is_set() and self._refused is None

    @property
    def info(self) -> ModelInfo:
        """The loaded model. Raises Overloaded before it has first been loaded."""
        if self._info is None:
            raise Overloaded("The model is still loading. Try again in a moment.")
        return self._info

    @property
    def pid(self) -> int | None:
        """The process id of the running engine."""
        return self._child.pid if self._child else None

    @property
    def active(self) -> int:
        """Requests that the engine holds, running and queued."""
        return len(self._streams)

    async def start(self) -> None:
        """Start the engine's process; it loads while the caller goes on."""
        connection = await self._spawn()
        self._supervisor = asyncio.create_task(self._supervise(connection))

    async def wait_ready(self) -> None:
        """Wait until the model answers. Raises ModelFileError if it can't be loaded."""
        await self._ready.wait()
        if self._refused:
            raise self._refused

    async def stop(self) -> None:
        """End the process; requests still running end with EngineFailure."""
        if self._supervisor:
            self._supervisor.cancel()
            await asyncio.wait([self._supervisor])
        self._lose_engine()
        if self._child and self._child.returncode is None:
            self._child.kill()
            await self._child.wait()

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Event, None]:
        """The events of all the request's choices, as they come. Closing it cancels the work.

        Raises Overloaded while there is no engine, EngineFailure if it dies or fails at a choice.
        """
        if not self.is_ready:
            raise Overloaded("The model is loading. Try again in a moment.")
        stream: asyncio.Queue[Event | None] = asyncio.Queue()
        self._streams[request.id] = stream
        self._send(Submit(request))
        unfinished = request.n
        try:
            while unfinished:
                event = await stream.get()
                if event is None:
                    raise EngineFailure(DIED)
                if event.error:
                    raise EngineFailure(f"The engine failed at this request ({event.error}).")
                unfinished -= event.finish_reason is not None
                yield event
        finally:
            if self._streams.pop(request.id, None) and unfinished:
                self._send(Cancel(request.id))

    async def _spawn(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            self._child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "minikin.engine_process",
                str(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                env=ENVIRONMENT | os.environ,
            )
        return ours

    async def _supervise(self, connection: socket.socket) -> None:
        pause = 0.0
        while True:
            await self._attend(connection)
            if self._refused:
                return
            pause = 0.0 if self._ready.is_set() else min(2 * pause + 0.5, LONGEST_PAUSE)
            self._lose_engine()
            assert self._child is not None
            log.error("the engine process ended (status %s)", await self._reap(self._child))
            await asyncio.sleep(pause)
            self.restarts += 1
            connection = await self._spawn()

    async def _attend(self, connection: socket.socket) -> None:
        """Pass the engine's reports on until it is gone."""
        stream, self._writer = await asyncio.open_unix_connection(sock=connection)
        reader = AsyncReader(stream)
        self._send(Load(self.settings))
        while (report := await reader.read()) is not None:
            match report:
                case Events(events):
                    for event in events:
                        if waiting := self._streams.get(event.id):
                            waiting.put_nowait(event)
                case Loaded(info):
                    self._info = info
                    self._ready.set()
                case LoadFailed(message):
                    self._refused = ModelFileError(message)
                    self._ready.set()
                    return

    def _lose_engine(self) -> None:
        self._ready.clear()
        if self._writer:
            self._writer.close()
            self._writer = None
        for stream in self._streams.values():
            stream.put_nowait(None)
        self._streams.clear()

    async def _reap(self, child: asyncio.subprocess.Process) -> int:
        try:
            return await asyncio.wait_for(child.wait(), timeout=1.0)
        except TimeoutError:
            child.kill()
            return await child.wait()

    def _send(self, command: Command) -> None:
        if self._writer:
            self._writer.write(frame(command))
