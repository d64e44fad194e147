"""The events of a background response that another server runs, from the database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

import msgspec

from minikin.errors import EngineFailure, MinikinError
from minikin.store.kept import Events, RunState

if TYPE_CHECKING:
    from minikin.store.store import Store

POLL_SECONDS = 0.5
"""Between two looks into the database."""
END_SECONDS = 10.0
"""How long the last events may come after the end of the response."""
ELSEWHERE = "Another server runs this response from its start. Follow it again."
"""The error for those who follow a response that another server has taken over."""
_INCOMPLETE = "The events of this response are not complete. Return the response without `stream`."
_encode = msgspec.json.Encoder().encode
Event = dict[str, Any]


class StoredEvents:
    """The events of one response. No client makes this server read more often than its poll."""

    def __init__(self, store: Store, owner: str, identifier: str, state: RunState) -> None:
        self._store = store
        self._owner = owner
        self._id = identifier
        self._state: RunState | None = state
        self._runner = state.runner
        self._next = 0

    async def follow(self, first: int) -> AsyncGenerator[Event, None]:
        """The events from sequence number `first` on, until the end.

        Raises EngineFailure if the last event does not come, because the server has stopped.
        """
        self._next, over_since = first, None
        while True:
            ended = False
            for chunk in await self._store.events.since(self._id, self._runner, self._next):
                for event in _from(chunk, self._next):
                    yield event
                    self._next += 1
                ended = ended or chunk.ends
            if ended:
                return
            over_since = over_since or (None if self._runs else time.monotonic())
            self._check(over_since)
            await asyncio.sleep(POLL_SECONDS)
            self._state = await self._store.responses.state(self._owner, self._id)

    @property
    def _runs(self) -> bool:
        return self._state is not None and self._state.runs

    def _check(self, over_since: float | None) -> None:
        if self._state and self._state.runner != self._runner:
            raise EngineFailure(ELSEWHERE)
        if over_since and time.monotonic() - over_since > END_SECONDS:
            raise EngineFailure(_INCOMPLETE)

    def failure(self, error: MinikinError) -> bytes:
        """The last event after an error."""
        body = error.body()["error"]
        return sent({"type": "error", "error": body, "sequence_number": self._next})


def _from(chunk: Events, first: int) -> list[Event]:
    begins = chunk.last + 1 - len(chunk.events)
    return chunk.events[max(0, first - begins) :]


def sent(event: Event, *, padded: bool = True) -> bytes:
    """A stored event as it is sent, with or without the random text in it."""
    if not padded:
        event = {name: value for name, value in event.items() if name != "obfuscation"}
    return b"event: %s\ndata: %s\n\n" % (event["type"].encode(), _encode(event))
