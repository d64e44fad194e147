"""Responses with `background: true`: they run without their client, and after a restart.

Each server runs the responses that its clients create, and those of a server of the same database
that has ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

import msgspec

from minikin.api.answer.identifiers import ResponseIds
from minikin.api.http.http import FAULT
from minikin.api.responses.events import LAST, ResponseEvent
from minikin.api.responses.state import failed, in_full
from minikin.api.responses.translate import ResponseRequest, read
from minikin.api.routes.response_turn import ResponseTurn, begun
from minikin.api.routes.stored_events import ELSEWHERE
from minikin.api.serving.service import Service
from minikin.errors import (
    EngineFailure,
    InvalidRequest,
    MinikinError,
    Overloaded,
    ShuttingDown,
    StoreFailure,
)
from minikin.periodic import Periodic
from minikin.store.kept import Events, StoredResponse

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
"""Between two tries to run a response, while the model loads."""
TAKE_SECONDS = 10.0
"""How often a server looks for responses whose server has ended."""
LOOK_SECONDS = 1.0
"""How often a server looks what other servers of its database have ended or deleted."""
SAVE_SECONDS = 0.5
"""How often the new events of all streamed responses are stored, for other servers."""
KEPT_SECONDS = 600.0
"""How long events, and responses without `store`, are kept after the end."""
MAX_KEPT = 64
"""Ended responses that are kept so, at most. The oldest are dropped first."""
Key = tuple[str, str]
"""The owner and the id of a response."""


class Job:
    """One background response."""

    def __init__(self, turn: ResponseTurn) -> None:
        self.turn = turn
        self.events: list[ResponseEvent] = []
        """All its events. Empty if the request does not stream."""
        self._saved = 0
        """How many of them the store has."""
        self.task: asyncio.Task[None] | None = None
        self.cancelled = False
        """Whether the client cancels it. Otherwise, a cancellation is the end of the server."""
        self.is_elsewhere = False
        """Whether another server has taken it over."""
        self._ended = False
        self._news = asyncio.Event()

    @property
    def key(self) -> Key:
        """The owner and the id."""
        return self.turn.owner, self.turn.maker.response.id

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.task is not None and not self.task.done()

    @property
    def body(self) -> dict[str, Any]:
        """The response at this moment."""
        return in_full(msgspec.to_builtins(self.turn.maker.response))

    def add(self, event: ResponseEvent) -> None:
        """Note the next event."""
        if self.turn.request.stream:
            self.events.append(event)
            self._tell()

    def end(self) -> None:
        """There are no more events."""
        self._ended = True
        self._tell()

    @property
    def unsaved(self) -> Events | None:
        """Its events that the store does not have. None if there are none."""
        new = self.events[self._saved :]
        if not new:
            return None
        ends, last = isinstance(new[-1], LAST), len(self.events) - 1
        return Events(response=self.key[1], last=last, ends=ends, events=new)

    def save(self, saved: Events) -> bool:
        """Note what the store has. Returns whether it needs no more."""
        self._saved = saved.last + 1
        return saved.ends

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def follow(self, first: int) -> AsyncGenerator[ResponseEvent, None]:
        """Its events from sequence number `first` on, until its end."""
        while True:
            news = self._news
            while first < len(self.events):
                yield self.events[first]
                first += 1
            if self._ended:
                return
            await news.wait()


class Background:
    """The background responses of a server. A Worker of its Service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._jobs: dict[Key, Job] = {}
        self._running: set[asyncio.Task[Any]] = set()
        self._ended: deque[Job] = deque()
        self._unsaved: set[Job] = set()
        """Those whose events the store does not have to the end."""
        self._saving = asyncio.Lock()
        self._periodic = (
            Periodic(self._look, LOOK_SECONDS, "Other servers' changes of responses are not seen"),
            Periodic(self._take_over, TAKE_SECONDS, "Background responses do not run again"),
            Periodic(self._save, SAVE_SECONDS, "Events of background responses are not stored"),
        )

    def start(self) -> None:
        """Run again what an ended server left, now and later."""
        for work in self._periodic:
            work.start()

    async def stop(self) -> None:
        """End all work. Stored responses run again after the next start."""
        for work in self._periodic:
            await work.stop()
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)

    async def begin(self, request: ResponseRequest, body: Any, owner: str) -> Job:
        """Queue a response. Raises Overloaded if there are too many."""
        if self._service.draining:
            raise Overloaded("The server is shutting down.", retry_after=5)
        if len(self._running) >= self._service.settings.max_queued:
            raise Overloaded("The server has too many background responses. Try again in a moment.")
        turn = await begun(self._service, request, owner)
        await turn.keep_queued(body)
        job = self._run(turn)
        await self._save()  # from now on, other servers know that it streams
        return job

    def find(self, owner: str, identifier: str) -> Job | None:
        """The response with this id, while it runs and for some minutes after."""
        return self._jobs.get((owner, identifier))

    async def cancel(self, job: Job) -> None:
        """Cancel a response, and wait for its end. No effect on one that has ended."""
        if job.task and job.runs:
            if not job.turn.maker.ended:
                job.cancelled = True
                job.task.cancel()
            await asyncio.wait([job.task])

    def forget(self, job: Job) -> None:
        """Drop a response."""
        self._jobs.pop(job.key, None)

    def _run(self, turn: ResponseTurn) -> Job:
        job = Job(turn)
        self._jobs[job.key] = job
        if turn.request.stream and turn.request.store:
            self._unsaved.add(job)
        for event in turn.maker.begin():
            job.add(event)
        job.task = self._spawn(self._work(job))
        return job

    def _spawn(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _work(self, job: Job) -> None:
        """Run a response to its end."""
        try:
            while not await self._try(job):
                await asyncio.sleep(RETRY_SECONDS)
        except asyncio.CancelledError:
            if not job.cancelled:
                raise
            maker, events = job.turn.maker, list[ResponseEvent]()
            events += maker.fail(EngineFailure(ELSEWHERE)) if job.is_elsewhere else [maker.cancel()]
            await self._end(job, events)
        except MinikinError as error:
            await self._end(job, list(job.turn.maker.fail(error)))
        except Exception:
            log.exception("A background response failed")
            await self._end(job, list(job.turn.maker.fail(EngineFailure(FAULT))))
        finally:
            job.end()
            self._keep(job)

    def _keep(self, job: Job) -> None:
        """Keep an ended response for some time, unless the store has all of it."""
        turn, loop = job.turn, asyncio.get_running_loop()
        if turn.request.stream and turn.request.store:
            loop.call_later(KEPT_SECONDS, lambda: self._spawn(self._drop_events(job)))
        if turn.is_another or (turn.request.store and turn.is_kept and not turn.request.stream):
            self.forget(job)
            return
        self._ended.append(job)
        if len(self._ended) > MAX_KEPT:
            self.forget(self._ended.popleft())
        loop.call_later(KEPT_SECONDS, self.forget, job)

    async def _try(self, job: Job) -> bool:
        """Run a response. Returns False if it cannot run yet, because the server is busy.

        Another response can have taken its conversation in the meantime.
        """
        try:
            async with aclosing(job.turn.events({})) as events:
                async for event in events:
                    job.add(event)
        except ShuttingDown:  # those who follow it hear so, and it runs again after the next start
            raise
        except Overloaded:
            return False
        except InvalidRequest as error:
            if error.code != "conversation_locked":
                raise
            return False
        return True

    async def _save(self) -> None:
        """Store all new events in one transaction."""
        async with self._saving:
            new = {job: events for job in self._unsaved if (events := job.unsaved)}
            if not new:
                return
            with suppress(StoreFailure):  # the log has it, and the next try stores them
                await self._service.store.events.add(list(new.values()))
                self._unsaved -= {job for job, events in new.items() if job.save(events)}

    async def _drop_events(self, job: Job) -> None:
        with suppress(StoreFailure):  # a sweep deletes them later
            await self._service.store.events.delete(job.key[1])

    async def _look(self) -> None:
        """End what another server of this database has ended, deleted or taken over."""
        store = self._service.store
        jobs = [job for job in self._jobs.values() if job.turn.request.store and job.runs]
        if not jobs:
            return
        await store.runner.appear()
        runners = await store.responses.runners([job.key[1] for job in jobs])
        for job in jobs:
            runner = runners.get(job.key[1])
            if runner != store.runner.name and not job.turn.maker.ended:
                job.is_elsewhere = runner is not None
                await self.cancel(job)
                self.forget(job)  # the store has what became of it

    async def _end(self, job: Job, events: list[ResponseEvent]) -> None:
        """The end of a response that the engine did not end."""
        try:
            await job.turn.keep()
        except MinikinError as error:
            job.turn.is_kept = False
            log.error("Cannot store the end of a background response: %s", error.message)
        for event in events:
            job.add(event)

    async def _take_over(self) -> None:
        """Run again what other servers of this database left when they ended."""
        if not self._service.store.database.exists:
            return
        responses = self._service.store.responses
        for runner in await responses.others():
            for response in await responses.take_over(runner):
                await self._again(response)
        await self._save()

    async def _again(self, response: StoredResponse) -> None:
        """Run a response of an earlier server. If it is not possible here, it ends as failed."""
        assert response.request
        inputs = response.request["inputs"]
        at = len(response.context) - inputs
        try:
            body = read(response.request["body"], self._service.limits)
            request = body.with_context(response.context[:at], response.context[at:])
        except MinikinError as error:
            with suppress(StoreFailure):  # the log has it
                await self._service.store.responses.put(failed(response, error), has_run=True)
            return
        ids = ResponseIds(response.id, response.created_at)
        self._run(ResponseTurn(self._service, request, response.owner, ids))
        log.info("Running %s again", response.id)
