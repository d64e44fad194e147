"""Starts the engine process, watches it, and restarts it after a crash."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import suppress

from minikin import logs
from minikin.config import EngineSettings
from minikin.engine.host.channel import (
    LAST_SECONDS,
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
from minikin.engine.host.ending import Ending
from minikin.engine.host.quarantine import Quarantine
from minikin.engine.messages import EngineStats, Event, GenerationRequest, ModelInfo
from minikin.errors import (
    Cancelled,
    EngineFailure,
    EngineLost,
    MinikinError,
    ModelFileError,
    Overloaded,
    SetupError,
    ShuttingDown,
)

log = logging.getLogger(__name__)

MAX_STARTS = 3
"""Maximum failed starts in a row, before the model is loaded."""
STUCK_SECONDS = 300.0
"""An engine with work that reports nothing for this long is killed. No step takes minutes, even
with a large model on a slow machine."""

PROGRAM = "minikin.engine_main"
ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE"}
"""PyTorch's threads sleep while they wait. If they spin on shared cores, they block the threads
that they wait for: a prompt of 1,000 tokens took ten times as long."""

CHANGED = (
    "{} is another model than at the start: its file was replaced while the server ran. Start the "
    "server again to serve it."
)
DIED = "The engine stopped while it ran this request. It restarts now. Try again."


class _Stream(asyncio.Queue[Event | MinikinError]):
    """The events of one request. An error: the engine is lost."""

    def __init__(self, request: GenerationRequest) -> None:
        super().__init__()
        self.request = request
        self.owed = request.n - sum(choice.ended for choice in request.resumed)
        """The number of choices without an end event so far."""

    def tell(self, event: Event) -> None:
        """Add an event from the engine."""
        self.owed -= event.finish_reason is not None
        self.put_nowait(event)


class EngineSupervisor:
    """The server's side of the engine.

    A native crash ends only the running requests, with EngineFailure. The process restarts, and
    `is_ready` shows when it is ready. The same happens if a step never ends.
    """

    def __init__(self, settings: EngineSettings, *, stuck_seconds: float = STUCK_SECONDS) -> None:
        self.settings = settings
        self.stats = EngineStats()
        """What the engine did at its last report."""
        self.restarts = 0
        self._stuck_seconds = stuck_seconds
        self._info: ModelInfo | None = None
        self._ready = asyncio.Event()
        self._hopeless = asyncio.Event()
        self._fault: SetupError | None = None
        self._stopping = False
        self._child: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._streams: dict[str, _Stream] = {}
        self._owing_since: float | None = None
        """The time of the last command, or of the last report while there is work."""
        self._is_stuck = False
        """Whether the server killed the engine for it."""
        self._quarantine = Quarantine()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def is_ready(self) -> bool:
        """Whether the model is ready."""
        return self._ready.is_set() and self._fault is None and not self._stopping

    @property
    def info(self) -> ModelInfo:
        """The loaded model. Raises Overloaded before the first load."""
        if self._info is None:
            raise Overloaded("The model is still loading. Try again in a moment.")
        return self._info

    @property
    def pid(self) -> int | None:
        """The id of the engine process, while there is one."""
        return self._child.pid if self._child and self._child.returncode is None else None

    def cancel(self, identifier: str) -> bool:
        """End a running request with Cancelled. Returns whether there is such a request."""
        stream = self._streams.get(identifier)
        if stream:
            stream.put_nowait(Cancelled())
        return stream is not None

    async def start(self) -> None:
        """Start the engine process. It loads in parallel to the caller."""
        connection = await self._spawn()
        self._tasks = [
            asyncio.create_task(self._supervise(connection)),
            asyncio.create_task(self._watch()),
        ]

    async def wait_ready(self) -> None:
        """Wait until the model is ready.

        Raises SetupError if the engine cannot start, ShuttingDown after `stop`.
        """
        await self._ready.wait()
        if self._fault:
            raise self._fault
        if self._stopping:
            raise ShuttingDown

    async def given_up(self) -> SetupError:
        """Wait until the engine cannot start any more. Returns the reason."""
        await self._hopeless.wait()
        assert self._fault is not None
        return self._fault

    async def stop(self) -> None:
        """Stop the process. Running and waiting requests end with ShuttingDown."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._lose_engine()
        self._ready.set()  # for those who wait
        if self._child and self._child.returncode is None:
            if self.settings.prefix_store:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._child.wait(), LAST_SECONDS)
            with suppress(ProcessLookupError):
                self._child.kill()
            await self._child.wait()

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Event, None]:
        """The events of all choices of the request. To cancel it, close the generator.

        Raises Overloaded before the engine is ready, EngineLost if the engine dies, EngineFailure
        if it fails at a choice, ShuttingDown if it is stopped, Quarantined if this request stopped
        it before, Cancelled after `cancel`.
        """
        if self._stopping:
            raise ShuttingDown
        if not self.is_ready:
            raise Overloaded("The model is loading. Try again in a moment.")
        async with self._quarantine.admit(request, self.wait_ready):
            stream = self._streams[request.id] = _Stream(request)
            self._send(Submit(request))
            unfinished = stream.owed
            try:
                while unfinished:
                    event = await stream.get()
                    if isinstance(event, MinikinError):
                        raise event
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
                logs.style(),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                env=ENVIRONMENT | os.environ,
                start_new_session=True,  # Ctrl-C in the terminal is for the server
            )
        return ours

    async def _supervise(self, connection: socket.socket) -> None:
        """Keep an engine running until it cannot start any more."""
        starts = 1
        while True:
            await self._attend(connection)
            was_ready = self._ready.is_set()
            running = [stream.request for stream in self._streams.values()]
            await self._lose_engine()
            assert self._child is not None
            ending = await self._reap(self._child)
            if was_ready:
                starts = 0
                self._quarantine.blame(running, ending.suspicion)
            if self._fault is None and starts == MAX_STARTS:
                reason = f"The engine cannot load {self.settings.model.name}: its process"
                self._fault = SetupError(f"{reason} {ending}, {MAX_STARTS} times in a row.")
            if self._fault:
                self._ready.set()
                self._hopeless.set()
                return
            log.error("The engine process %s. Restarting it", ending)
            starts += 1
            self.restarts += 1
            connection = await self._spawn()

    async def _attend(self, connection: socket.socket) -> None:
        """Forward the engine's reports until it closes the socket."""
        stream, self._writer = await asyncio.open_unix_connection(sock=connection)
        reader = AsyncReader(stream)
        self._writer.write(frame(Load(self.settings)))
        while (report := await reader.read()) is not None:
            match report:
                case Events(events, stats):
                    self.stats = stats or self.stats
                    for event in events:
                        if waiting := self._streams.get(event.id):
                            waiting.tell(event)
                    owes = any(stream.owed for stream in self._streams.values())
                    self._owing_since = self._now() if owes else None
                case Loaded(info):
                    if self._info and self._info.fingerprint != info.fingerprint:
                        self._fault = ModelFileError(CHANGED.format(self.settings.model.name))
                        return
                    self._info = info
                    self._ready.set()
                case LoadFailed(message):
                    self._fault = ModelFileError(message)
                    return

    async def _watch(self) -> None:
        """Kill an engine that is stuck. The supervisor then restarts it."""
        while True:
            await asyncio.sleep(self._stuck_seconds / 8)
            since = self._owing_since
            if since is not None and self._now() - since > self._stuck_seconds:
                log.error("The engine did no step for %.0f s. Killing it", self._now() - since)
                assert self._child is not None
                self._owing_since, self._is_stuck = None, True
                with suppress(ProcessLookupError):
                    self._child.kill()

    async def _lose_engine(self) -> None:
        self._ready.clear()
        self._owing_since = None
        self.stats = EngineStats()
        for stream in self._streams.values():
            stream.put_nowait(ShuttingDown() if self._stopping else EngineLost(DIED))
        self._streams.clear()
        writer, self._writer = self._writer, None
        if writer:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _reap(self, child: asyncio.subprocess.Process) -> Ending:
        try:
            status = await asyncio.wait_for(child.wait(), timeout=1.0)
        except TimeoutError:
            self._is_stuck = True
            child.kill()
            status = await child.wait()
        was_stuck, self._is_stuck = self._is_stuck, False
        return Ending(status, by_server=was_stuck)

    def _send(self, command: Command) -> None:
        if self._writer:
            self._writer.write(frame(command))
            self._owing_since = self._owing_since or self._now()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
