"""The edge's side of a model's engines: they are replicas of a deployment, here or elsewhere."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import msgspec
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from minikin.cluster.frames import Events, Failed, Frame, Taken, decode, encode
from minikin.cluster.routers import replicas
from minikin.engine.host.ending import KILL
from minikin.engine.host.quarantine import Quarantine
from minikin.engine.host.resuming import resuming
from minikin.engine.messages import EngineStats, Event, GenerationRequest, ModelInfo
from minikin.errors import Cancelled, EngineLost, MinikinError, Overloaded, SetupError, ShuttingDown

log = logging.getLogger(__name__)

LOST = "The machine of the model stopped while it ran this request. Try again."
_LOADING = "The model is still loading. Try again in a moment."
_FAULTS = (RayError, RayServeException)
"""A replica that is lost, or none that can be reached."""
START_SECONDS = 60.0
"""How long a request waits for a replica that takes it."""
LOOK_SECONDS = 0.1
"""How often an answer that waits for another replica checks that one is left."""
SILENT_SECONDS = 10.0
"""A replica that sends nothing for this long and takes no requests is lost. If only the link to its
machine is, nothing else ends its streams."""

_info = msgspec.msgpack.Decoder(ModelInfo).decode


@dataclass
class _Running:
    """A request that a replica runs."""

    stream: Any
    replica: str = ""
    """Its unique id. Empty before it took the request."""
    heard: float = 0.0
    """The time of the last frame, of time.monotonic()."""
    ended_by: MinikinError | None = None
    """Why this edge ended it."""

    def end(self, reason: MinikinError) -> None:
        """End it. The error reaches the request."""
        self.ended_by = reason
        self.stream.cancel()


class RemoteEngine:
    """All replicas of one model, as one engine. Ray Serve restarts lost replicas."""

    restarts = 0
    pid = None

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle = handle
        self._generate = handle.options(method_name="generate", stream=True)
        self._info: ModelInfo | None = None
        self._running: dict[str, _Running] = {}
        self._quarantine = Quarantine()
        """Of requests whose replicas were lost, whatever the reason. Each replica has its own."""
        self._stopping = False
        self._reading: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

    @property
    def stats(self) -> EngineStats:
        """The requests of this edge. Each replica reports its own to Ray."""
        return EngineStats(running=len(self._running))

    @property
    def is_ready(self) -> bool:
        """Whether a replica was ready. Later requests wait for one, as long as for a load."""
        return self._info is not None and not self._stopping

    @property
    def info(self) -> ModelInfo:
        """The model of all replicas. Raises Overloaded before one was ready."""
        if self._info is None:
            raise Overloaded(_LOADING)
        return self._info

    async def start(self) -> None:
        """Ask a replica what it has loaded, in parallel to the caller."""
        self._reading = asyncio.create_task(self._read_info())
        self._watching = asyncio.create_task(self._watch())

    async def wait_ready(self) -> None:
        """Wait until a replica is ready. Raises ShuttingDown after `stop`."""
        if self._reading:
            await asyncio.shield(self._reading)
        if self._stopping:
            raise ShuttingDown

    async def given_up(self) -> SetupError:
        """Never: Ray Serve tries again for ever, and its log has the reason."""
        await asyncio.Event().wait()
        raise AssertionError

    async def stop(self) -> None:
        """End all requests with ShuttingDown. The replicas stay for other edges."""
        self._stopping = True
        for task in (self._reading, self._watching):
            if task:
                task.cancel()
        for running in list(self._running.values()):
            running.end(ShuttingDown())

    def cancel(self, identifier: str) -> bool:
        """End a running request with Cancelled. Returns whether there is such a request."""
        running = self._running.get(identifier)
        if running is not None:
            running.end(Cancelled())
        return running is not None

    def generate(self, request: GenerationRequest) -> AsyncGenerator[Event, None]:
        """See EngineClient. If a replica is lost, another one continues the answer."""
        return resuming(request, self._attempt, self._recovered)

    async def _recovered(self) -> None:
        """Check that a replica is left. Raises EngineLost otherwise."""
        if replicas(self._handle.deployment_name) == set():
            raise EngineLost(LOST)

    async def _attempt(self, request: GenerationRequest) -> AsyncGenerator[Event, None]:
        """The events of one replica. Raises EngineLost if it is lost."""
        async with self._quarantine.admit(request, self._recovered):
            async for event in self._on_a_replica(request):
                yield event

    async def _on_a_replica(self, request: GenerationRequest) -> AsyncGenerator[Event, None]:
        if self._stopping:
            raise ShuttingDown
        stream: Any = self._generate.options(session_id=request.session).remote(encode(request))
        running = self._running[request.id] = _Running(stream)
        try:
            await self._taken(running, has_begun=bool(request.resumed))
            async for event in _events(running):
                yield event
        except (*_FAULTS, asyncio.CancelledError) as fault:
            reason = running.ended_by
            if isinstance(reason, Cancelled | ShuttingDown):
                raise reason from fault
            if reason is None and isinstance(fault, asyncio.CancelledError):
                raise
            log.warning("Request %s lost its replica: %s", request.id, fault)
            self._quarantine.blame([request], KILL)
            raise EngineLost(LOST) from fault
        finally:
            del self._running[request.id]
            stream.cancel()

    async def _taken(self, running: _Running, *, has_begun: bool) -> None:
        """Wait until a replica takes a request, which its first frame says.

        Raises Overloaded if none does in time. An answer that has begun waits for a replica that
        is there, but not for a new one: raises EngineLost if none is left.
        """
        first = asyncio.ensure_future(anext(running.stream))
        try:
            async with asyncio.timeout(START_SECONDS):
                while not (await asyncio.wait([first], timeout=LOOK_SECONDS))[0]:
                    if has_begun:
                        await self._recovered()
            frame = decode(await first)
            assert isinstance(frame, Taken)
            running.replica, running.heard = frame.replica, time.monotonic()
        except TimeoutError:
            raise Overloaded("No machine of the model is free. Try again in a moment.") from None
        finally:
            first.cancel()

    async def _watch(self) -> None:
        """End the requests of replicas that are lost without a word."""
        while True:
            await asyncio.sleep(SILENT_SECONDS / 10)
            left = replicas(self._handle.deployment_name)
            silent = time.monotonic() - SILENT_SECONDS
            for running in list(self._running.values()):
                is_silent = running.replica and running.heard < silent
                if is_silent and left is not None and running.replica not in left:
                    running.end(EngineLost(LOST))

    async def _read_info(self) -> None:
        while self._info is None:
            try:
                self._info = _info(await self._handle.options(method_name="info").remote())
            except _FAULTS as fault:
                log.warning("No replica of the model is ready: %s", fault)
                await asyncio.sleep(1)


async def _events(running: _Running) -> AsyncGenerator[Event, None]:
    """The events of a replica's frames. Raises its error."""
    async for body in running.stream:
        running.heard = time.monotonic()
        frame: Frame = decode(body)
        match frame:
            case Failed() as failed:
                raise failed.error
            case Events(events):
                for event in events:
                    yield event
            case Taken():
                raise AssertionError
