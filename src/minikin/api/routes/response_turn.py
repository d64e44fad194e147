"""One response in the making: from a checked request to its events and to the store."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing, nullcontext
from functools import partial
from typing import Any

import msgspec

from minikin.api.answer.identifiers import ResponseIds
from minikin.api.http.large import off_loop
from minikin.api.responses.events import ResponseEvent
from minikin.api.responses.maker import ResponseMaker
from minikin.api.responses.state import in_full, kept_items, stored
from minikin.api.responses.translate import ResponseRequest
from minikin.api.routes.answering import answering
from minikin.api.routes.keeping import is_kept
from minikin.api.serving.service import Service

ITEM_WORK = 256
"""An item takes as long as so many bytes elsewhere: 10 microseconds."""


async def begun(
    service: Service, request: ResponseRequest, owner: str, ids: ResponseIds | None = None
) -> ResponseTurn:
    """A response in the making. Thousands of items get their ids outside of the event loop."""
    work = len(request.input) * ITEM_WORK
    return await off_loop(work, partial(ResponseTurn, service, request, owner, ids))


class ResponseTurn:
    """One response in the making."""

    def __init__(
        self, service: Service, request: ResponseRequest, owner: str, ids: ResponseIds | None = None
    ) -> None:
        """`ids` are those of a response that runs again."""
        self._service = service
        self.request = request
        self.owner = owner
        ids = ids or ResponseIds()
        self.maker = ResponseMaker(request, ids)
        self.items = kept_items(request.input, ids)
        """The items of the input, as the store has them."""
        self.is_kept = True
        """False if the finished response could not be stored."""
        self.is_another = False
        """Whether another server has ended or deleted the response, or runs it."""

    async def events(self, noted: dict[str, Any]) -> AsyncGenerator[ResponseEvent, None]:
        """The events. Before the last one, the response is stored and its conversation is free.

        So a client that has seen the end can continue it. `noted` gets facts for the access log.
        Raises MinikinError before the first event.
        """
        service, identifier = self._service, self.maker.response.id
        last: ResponseEvent | None = None
        async with (
            self._reserved(),
            answering(service, self.request, identifier, self.owner, noted) as answer,
            aclosing(self.maker.events(answer.prepared, answer.events)) as events,
        ):
            async for event in events:
                if self.maker.ended:
                    self.is_kept = await is_kept(self.keep())
                    last = event
                else:
                    yield event
        if last:
            yield last

    async def whole(self, noted: dict[str, Any]) -> dict[str, Any]:
        """The response without a stream: the fold of the same events. Raises MinikinError."""
        async with aclosing(self.events(noted)) as events:
            async for _ in events:
                pass
        if self.maker.failure:
            raise self.maker.failure
        return in_full(msgspec.to_builtins(self.maker.response))

    async def keep(self) -> None:
        """Store the response and its items, if the request wants that.

        A background response that the end of the server fails runs again after the next start.
        """
        again = self.maker.failure and self.request.background and self._service.draining
        if again or not self.request.store:
            return
        response = stored(self.request, self.maker.response, self.items, self.owner)
        new = [*self.items, *response.body["output"]]
        self.is_another = not await self._service.store.responses.put(
            response,
            new,
            conversation=self.request.conversation,
            has_run=self.request.background,
        )

    async def keep_queued(self, body: Any) -> None:
        """Store the response before it runs, with what is needed to run it after a restart."""
        async with self._reserved():
            if not self.request.store:
                return
            again = {"body": body, "inputs": len(self.items)}
            queued = stored(self.request, self.maker.response, self.items, self.owner, again)
            await self._service.store.responses.put(queued)

    def _reserved(self) -> Any:
        """The conversation, for as long as this response uses it."""
        if not self.request.conversation:
            return nullcontext()
        return self._service.store.conversations.use(self.owner, self.request.conversation)
