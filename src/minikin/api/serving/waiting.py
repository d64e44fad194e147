"""How long requests wait for their first token, and which would wait too long."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

from minikin.config import ServerSettings
from minikin.engine.messages import Event, GenerationRequest
from minikin.errors import DeadlineExceeded, Overloaded

WINDOW_SECONDS = 30.0
"""How far back the speed is measured."""
LEAST_SECONDS = 2.0
"""A queue that exists for less time says nothing about the speed."""
LONG_PROMPT = 1_024
"""Tokens. Longer prompts have a lane of their own, because shorter ones pass them."""
MOST_SECONDS = 60.0
"""The longest time to wait that an error names."""
SPREAD = 0.25
"""The part by which this time grows, at random, so that clients do not come together."""
_MOST_STARTS = 256


class _Lane:
    """Waiting requests of one kind, and how fast they start."""

    def __init__(self) -> None:
        self.waiting = 0
        self.tokens = 0
        """Of their prompts."""
        self._since = 0.0
        self._starts: deque[float] = deque(maxlen=_MOST_STARTS)

    def arrive(self, tokens: int) -> None:
        """Count one more request."""
        if not self.waiting:
            self._since = _now()
            self._starts.clear()
        self.waiting += 1
        self.tokens += tokens

    def leave(self, tokens: int, *, started: bool) -> None:
        """Count one less."""
        self.waiting -= 1
        self.tokens -= tokens
        if started:
            self._starts.append(_now())

    @property
    def seconds(self) -> float:
        """After this time, a request that comes now would start. 0 if it is not known."""
        now, starts = _now(), self._starts
        begin = max(self._since, now - WINDOW_SECONDS)
        if len(starts) == _MOST_STARTS:
            begin = max(begin, starts[0])
        while starts and starts[0] < begin:
            starts.popleft()
        if not self.waiting or not starts or now - self._since < LEAST_SECONDS:
            return 0.0
        return self.waiting * (now - begin) / len(starts)


class Turn:
    """One request, from its arrival to its first token."""

    def __init__(self, lane: _Lane | None, tokens: int = 0) -> None:
        """Without a lane, the request gives way to all others, and has no deadlines."""
        self._lane, self._tokens = lane, tokens
        self.gives_way = lane is None
        if lane:
            lane.arrive(tokens)

    def end(self, *, started: bool) -> None:
        """Note the first token, or that the request ends without one. Later calls do nothing."""
        lane, self._lane = self._lane, None
        if lane:
            lane.leave(self._tokens, started=started)


class WaitingRequests:
    """The requests of one model that wait for their first token."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._short, self._long = _Lane(), _Lane()

    def retry_after(self) -> float:
        """Seconds until about half of the requests that wait now have started."""
        half = max(self._short.seconds, self._long.seconds) / 2
        return min(max(1.0, half), MOST_SECONDS) * random.uniform(1, 1 + SPREAD)

    @contextmanager
    def turn(self, request: GenerationRequest) -> Iterator[Turn]:
        """A block in which a request waits. Raises Overloaded if the wait would be too long."""
        if request.gives_way:
            yield Turn(None)
            return
        lane = self._long if len(request.prompt) > LONG_PROMPT else self._short
        self._check(lane, len(request.prompt))
        turn = Turn(lane, len(request.prompt))
        try:
            yield turn
        finally:
            turn.end(started=False)

    async def in_time(
        self, events: AsyncGenerator[Event, None], turn: Turn, begun: float
    ) -> AsyncGenerator[Event, None]:
        """The events of a request that came at `begun` (`time.perf_counter`).

        Raises Overloaded if the first comes too late, DeadlineExceeded if the last does.
        """
        first, whole = self._settings.first_token_timeout, self._settings.request_timeout
        if turn.gives_way or (first is None and whole is None):
            async for event in events:
                turn.end(started=True)
                yield event
            return
        end = math.inf if whole is None else begun + whole
        due = end if first is None else min(end, begun + first)
        while (event := await self._before(due, end, events)) is not None:
            due = end
            turn.end(started=True)
            yield event

    async def _before(
        self, due: float, end: float, events: AsyncGenerator[Event, None]
    ) -> Event | None:
        """The next event, or None after the last."""
        try:
            async with asyncio.timeout(None if due == math.inf else due - _now()):
                return await anext(events, None)
        except TimeoutError:
            if due < end:
                raise Overloaded(
                    "The request waited too long for its first token. Try again later.",
                    retry_after=self.retry_after(),
                ) from None
            seconds = self._settings.request_timeout
            raise DeadlineExceeded(f"The answer took longer than {seconds:g} s.") from None

    def _check(self, lane: _Lane, prompt: int) -> None:
        limit, most = self._settings.queue_timeout, self._settings.max_queued_tokens
        if limit is not None and (seconds := lane.seconds) > limit:
            raise Overloaded(
                f"The server has too many requests: this one would wait about {seconds:.0f} s. "
                "Try again later.",
                retry_after=self.retry_after(),
            )
        tokens = self._short.tokens + self._long.tokens
        if tokens and tokens + prompt > most:
            raise Overloaded(
                f"The requests that wait have {tokens} prompt tokens together, and the limit "
                f"is {most}. Try again later.",
                retry_after=self.retry_after(),
            )


def _now() -> float:
    return time.perf_counter()
