"""Continues the answers of a lost engine on another one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from msgspec.structs import replace

from minikin.engine.messages import Event, GenerationRequest, Resumed
from minikin.errors import EngineLost

MAX_LOST = 8
"""After so many lost engines, the request fails. The quarantine stops the cause among 16 requests
after 5 at most (`quarantine.py`)."""


class Unfinished:
    """What the events of a request have brought so far."""

    def __init__(self, request: GenerationRequest) -> None:
        self._request = request
        self._tokens: list[list[int]] = [[] for _ in range(request.n)]
        self._choices = [Resumed()] * request.n

    def add(self, event: Event) -> None:
        """Note an event."""
        self._tokens[event.index] += event.tokens
        choice = self._choices[event.index]
        if event.prompt_logprobs:
            scored = choice.scored + len(event.prompt_logprobs)
            self._choices[event.index] = replace(choice, scored=scored)
        elif event.held or choice.held or event.cached or event.prediction or event.ends:
            self._choices[event.index] = replace(
                choice,
                held=event.held,
                cached=event.cached or choice.cached,
                prediction=event.prediction,
                ended=event.ends,
            )

    def rest(self) -> GenerationRequest:
        """The request for what is left."""
        if not any(self._tokens) and all(choice == Resumed() for choice in self._choices):
            return self._request
        tokens = zip(self._choices, self._tokens, strict=True)
        resumed = tuple(replace(choice, tokens=tuple(those)) for choice, those in tokens)
        return replace(self._request, resumed=resumed)


async def resuming(
    request: GenerationRequest,
    attempt: Callable[[GenerationRequest], AsyncGenerator[Event, None]],
    recovered: Callable[[], Awaitable[object]],
) -> AsyncGenerator[Event, None]:
    """The events of `request`, as if no engine had been lost.

    `attempt` runs a request on an engine, and `recovered` waits until one is ready again. Raises
    EngineLost after MAX_LOST engines, and what the two functions raise.
    """
    unfinished = Unfinished(request)
    for lost in range(1, MAX_LOST + 1):
        try:
            async with aclosing(attempt(unfinished.rest())) as events:
                async for event in events:
                    unfinished.add(event)
                    yield event
            return
        except EngineLost:
            if lost == MAX_LOST:
                raise
            await recovered()
