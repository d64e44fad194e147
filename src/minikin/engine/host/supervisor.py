"""The engine in a process of its own: started, watched, and started again when it dies."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import suppress

from minikin import logs
from minikin.config import EngineSettings
from minikin.engine.host.channel import (
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
from minikin.engine.host.quarantine import Quarantine
from minikin.engine.messages import Event, GenerationRequest, ModelInfo
from minikin.errors import EngineFailure, ModelFileError, Overloaded, SetupError

log = logging.getLogger(__name__)

MAX_STARTS = 3
"""An engine that dies that often in a row before it has loaded its model is given up."""
STUCK_SECONDS = 300.0
"""An engine that owes an answer and gives no sign of life for so long is ended: no step takes
minutes, even of a large model on a slow machine."""

PROGRAM = "minikin.engine_main"
ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE"}
"""PyTorch's threads sleep while they wait. Spinning, on cores that others use too, they keep those
they wait for from running: a prompt of 1,000 tokens took ten times as long."""

DIED = "The engine stopped while it worked on this request. It is being restarted; try again."


class _Stream(asyncio.Queue[Event | None]):
    """The events of one request; None: the engine is gone."""

    def __init__(self, request: GenerationRequest) -> None:
        super().__init__()
        self.request = request
        self.owed = request.n
        """Choices whose end the engine has not told yet."""

    def tell(self, event: Event) -> None:
        """Take what the engine reports."""
        self.owed -= event.finish_reason is not None
        self.put_nowait(event)


class EngineSupervisor:
    """The server's side of the engine.

    A native crash ends the requests that ran, with EngineFailure, and nothing else: the process
    is started again, and `is_ready` tells when it answers. So does a step that never ends.
    """

    def __init__(self, settings: EngineSettings, *, stuck_seconds: float = STUCK_SECONDS) -> None:
        self.settings = settings
        self._stuck_seconds = stuck_seconds
        self._info: ModelInfo | None = None
        self._ready = asyncio.Event()
        self._hopeless = asyncio.Event()
        self._fault: SetupError | None = None
        self._child: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._streams: dict[str, _Stream] = {}
        self._owing_since: float | None = None
        """When the engine was told something, or last gave news of what it still works on."""
        self._quarantine = Quarantine()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def is_ready(self) -> bool:
        """Whether the model answers now."""
        return self._ready.is_set() and self._fault is None

    @property
    def info(self) -> ModelInfo:
        """The loaded model. Raises Overloaded before it has first been loaded."""
        if self._info is None:
            raise Overloaded("The model is still loading. Try again in a moment.")
        return self._info

    async def start(self) -> None:
        """Start the engine's process; it loads while the caller goes on."""
        connection = await self._spawn()
        self._tasks = [
            asyncio.create_task(self._supervise(connection)),
            asyncio.create_task(self._watch()),
        ]

    async def wait_ready(self) -> None:
        """Wait until the model answers. Raises SetupError if the engine has been given up."""
        await self._ready.wait()
        if self._fault:
            raise self._fault

    async def given_up(self) -> SetupError:
        """Wait until the engine is given up; returns why."""
        await self._hopeless.wait()
        assert self._fault is not None
        return self._fault

    async def stop(self) -> None:
        """End the process; requests still running end with EngineFailure."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._lose_engine()
        if self._child and self._child.returncode is None:
            self._child.kill()
            await self._child.wait()

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Event, None]:
        """The events of all the request's choices, as they come. Closing it cancels the work.

        Raises Overloaded while there is no engine, EngineFailure if it dies or fails at a choice,
        Quarantined if it has died of this request before.
        """
        async with self._quarantine.admit(request):
            if not self.is_ready:
                raise Overloaded("The model is loading. Try again in a moment.")
            stream = self._streams[request.id] = _Stream(request)
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
                PROGRAM,
                str(theirs.fileno()),
                logs.level(),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                env=ENVIRONMENT | os.environ,
            )
        return ours

    async def _supervise(self, connection: socket.socket) -> None:
        """Keep an engine running until none can be had."""
        starts = 1
        while True:
            await self._attend(connection)
            if self._ready.is_set():
                starts = 0
                self._quarantine.blame(stream.request for stream in self._streams.values())
            await self._lose_engine()
            assert self._child is not None
            ending = _ending(await self._reap(self._child))
            if self._fault is None and starts == MAX_STARTS:
                reason = f"The engine could not load {self.settings.model.name}: its process"
                self._fault = SetupError(f"{reason} {ending}, {MAX_STARTS} times in a row.")
            if self._fault:
                self._ready.set()
                self._hopeless.set()
                return
            log.error("the engine's process %s; starting it again", ending)
            starts += 1
            connection = await self._spawn()

    async def _attend(self, connection: socket.socket) -> None:
        """Pass the engine's reports on until it is gone."""
        stream, self._writer = await asyncio.open_unix_connection(sock=connection)
        reader = AsyncReader(stream)
        self._writer.write(frame(Load(self.settings)))
        while (report := await reader.read()) is not None:
            match report:
                case Events(events):
                    for event in events:
                        if waiting := self._streams.get(event.id):
                            waiting.tell(event)
                    owes = any(stream.owed for stream in self._streams.values())
                    self._owing_since = self._now() if owes else None
                case Loaded(info):
                    self._info = info
                    self._ready.set()
                case LoadFailed(message):
                    self._fault = ModelFileError(message)
                    return

    async def _watch(self) -> None:
        """Kill an engine that is stuck; the supervisor does the rest."""
        while True:
            await asyncio.sleep(self._stuck_seconds / 8)
            since = self._owing_since
            if since is not None and self._now() - since > self._stuck_seconds:
                log.error("the engine has done no step for %.0f s", self._now() - since)
                assert self._child is not None
                self._owing_since = None
                with suppress(ProcessLookupError):
                    self._child.kill()

    async def _lose_engine(self) -> None:
        self._ready.clear()
        self._owing_since = None
        for stream in self._streams.values():
            stream.put_nowait(None)
        self._streams.clear()
        writer, self._writer = self._writer, None
        if writer:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _reap(self, child: asyncio.subprocess.Process) -> int:
        try:
            return await asyncio.wait_for(child.wait(), timeout=1.0)
        except TimeoutError:
            child.kill()
            return await child.wait()

    def _send(self, command: Command) -> None:
        if self._writer:
            self._writer.write(frame(command))
            self._owing_since = self._owing_since or self._now()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _ending(status: int) -> str:
    """How a process with this exit status ended, as a user reads it."""
    if status >= 0:
        return f"ended with status {status}"
    hint = " (is there enough memory?)" if -status == signal.SIGKILL else ""
    return f"was ended by {signal.Signals(-status).name}{hint}"
