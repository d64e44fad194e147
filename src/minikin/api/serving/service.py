"""The state that the routes share: models, the store, and places for requests."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Protocol

from minikin.api.access.account import Account
from minikin.api.access.keys import ANYONE, LOOK_SECONDS, Keys
from minikin.api.request.translate import Limits
from minikin.api.serving.lag import LagMeter
from minikin.api.serving.metrics import Metrics
from minikin.api.serving.model_pool import ModelPool
from minikin.api.serving.tracing import tracing
from minikin.api.serving.waiting import WaitingRequests
from minikin.config import ServerSettings
from minikin.errors import Overloaded, ShuttingDown
from minikin.memory import FreeMemory
from minikin.periodic import Periodic
from minikin.store.opening import Opening

if TYPE_CHECKING:
    from minikin.store.store import Store

TIDY_SECONDS = 1.0
"""Time between two looks at the memory, which take some microseconds."""
FIRST_SECONDS = 2.0
"""How long the work on the store waits for the first model."""
SWEEP_SECONDS = 3600.0
"""How often expired objects are deleted. No request finds them before that either."""


MAX_UPLOADS = 32
"""Forms with a file that can arrive at the same time."""


class Worker(Protocol):
    """Work that runs beside the requests, as long as the server."""

    def start(self) -> None:
        """Start it."""
        ...

    async def stop(self) -> None:
        """End it. What it stored is kept."""
        ...


class Service:
    """The state of one server, without HTTP."""

    gives_way = False
    """Whether its requests give way to all others."""

    def __init__(self, settings: ServerSettings, models: ModelPool) -> None:
        self.settings = settings
        self.models = models
        self.limits = Limits(
            models=frozenset(models.names),
            max_choices=settings.max_choices,
            extensions=settings.extensions,
        )
        self._opening = Opening(settings.database, settings.files)
        self.metrics = Metrics(models, lambda: self.in_flight)
        self.keys = Keys(settings)
        self.tracing = tracing()
        self.waiting = {model.id: WaitingRequests(settings) for model in settings.models}
        """By model: what waits for its first token."""
        self._in_flight_of: Counter[str] = Counter()
        """By owner."""
        self.draining = False
        self.in_flight = 0
        self.uploads = 0
        """Forms that arrive. They take no place of a request."""
        self._blocks = 0
        self.held_bytes = 0
        """Of bodies that arrive or are read."""
        self.idle = asyncio.Event()
        self.idle.set()
        tidy = partial(asyncio.to_thread, FreeMemory().give_back)
        self.workers: list[Worker] = [
            LagMeter(self.metrics.lag.observe),
            Periodic(tidy, TIDY_SECONDS, "Free memory stays with the process"),
            Periodic(self.keys.look, LOOK_SECONDS, "The API keys stay as they were"),
        ]
        """What runs beside the requests."""
        self.keepers: list[Worker] = [
            Periodic(self._sweep, SWEEP_SECONDS, "Expired data is not deleted")
        ]
        """Those that use the store. They start when the first model is ready."""
        self._starting: asyncio.Task[None] | None = None

    @property
    def store(self) -> Store:
        """What the server keeps."""
        return self._opening.store

    def start(self) -> None:
        """Start the work that no request waits for."""
        for worker in self.workers:
            worker.start()
        self._starting = asyncio.create_task(self._start_keepers())

    async def _start_keepers(self) -> None:
        await asyncio.wait([self.models.first()], timeout=FIRST_SECONDS)
        await self._opening.prepare()
        for keeper in self.keepers:
            keeper.start()

    async def _sweep(self) -> None:
        await self.store.sweep()

    async def stop(self) -> None:
        """End that work, and close the store."""
        if self._starting:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        for worker in (*self.workers, *self.keepers):
            await worker.stop()
        await self._opening.close()
        await asyncio.to_thread(self.tracing.stop)

    @property
    def is_ready(self) -> bool:
        """Whether a new request can be answered."""
        return self.models.is_ready and not self.draining

    def cancel(self, identifier: str) -> bool:
        """End a running request with Cancelled. Returns whether there is such a request."""
        progress = self.metrics.running.get(identifier)
        model = self.models.loaded[progress.model] if progress else None
        return model is not None and model.engine.cancel(identifier)

    def preparing(self) -> AbstractAsyncContextManager[None]:
        """A block that turns a request into one for an engine."""
        return nullcontext()

    def account(self, owner: str) -> Account:
        """What the key of `owner` has used of its limits."""
        return self.keys.account(owner)

    def require_place(self, owner: str) -> None:
        """Raise Overloaded if all places are in use, or at shutdown.

        An owner with less than its share gets one of as many places more, so that an owner with
        many requests does not keep out others. A request takes its place when its JSON body is
        there: clients that send it slowly keep none from others.
        """
        if self.draining:
            raise ShuttingDown
        most, mine = self.settings.max_queued, self._in_flight_of
        if self.in_flight < most:
            return
        share = most // (len(mine) + (owner not in mine))
        if mine[owner] >= share or self.in_flight >= 2 * most:
            raise Overloaded(
                "The server has too many requests. Try again later.",
                retry_after=max(queue.retry_after() for queue in self.waiting.values()),
            )

    @contextmanager
    def place(self, owner: str) -> Iterator[None]:
        """A place for one request. Raises Overloaded if all are in use, or at shutdown."""
        self.require_place(owner)
        with self.account(owner).place():
            self.in_flight += 1
            self._in_flight_of[owner] += 1
            try:
                with self._at_work():
                    yield
            finally:
                self.in_flight -= 1
                self._in_flight_of[owner] -= 1
                if not self._in_flight_of[owner]:
                    del self._in_flight_of[owner]

    @contextmanager
    def upload(self) -> Iterator[None]:
        """A place for a form while it arrives. Raises Overloaded if all are in use."""
        if self.draining:
            raise ShuttingDown
        if self.uploads >= MAX_UPLOADS:
            raise Overloaded("The server receives too many files. Try again in a moment.")
        self.uploads += 1
        try:
            with self._at_work():
                yield
        finally:
            self.uploads -= 1

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """A block that a shutdown waits for."""
        self._blocks += 1
        self.idle.clear()
        try:
            yield
        finally:
            self._blocks -= 1
            if not self._blocks:
                self.idle.set()


PREPARED_AT_ONCE = 2
"""Lines of batches whose prompts and schemas are prepared at the same time. Requests wait for the
same processes."""


class BatchService(Service):
    """The same server for lines of batches: they give way to all requests, and take no place."""

    gives_way = True

    def __init__(self, service: Service) -> None:
        vars(self).update(vars(service))
        self._preparing = asyncio.Semaphore(PREPARED_AT_ONCE)

    def preparing(self) -> AbstractAsyncContextManager[None]:
        """See Service."""
        return self._preparing

    def account(self, owner: str) -> Account:
        """Lines of batches do not count against the limits of their key, as at OpenAI."""
        return self.keys.account(ANYONE)

    def require_place(self, owner: str) -> None:
        """The runner of batches limits how many lines run."""

    @contextmanager
    def place(self, owner: str) -> Iterator[None]:
        """The runner of batches limits how many lines run.

        Raises Overloaded while a request waits for the memory of a model that lines use.
        """
        if self.models.is_short:
            raise Overloaded("A request waits for another model.")
        yield
