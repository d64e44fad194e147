"""The routes of responses that are stored: return, delete, and list their input items."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from minikin.api.http.http import json_response, while_connected
from minikin.api.http.lists import Listing, as_entry, large_list, part_of
from minikin.api.request import faults
from minikin.api.request.rules import OneOf
from minikin.api.responses.events import without_padding
from minikin.api.responses.parameters import INCLUDABLE
from minikin.api.responses.state import cancelled, in_full
from minikin.api.routes import stored_events
from minikin.api.routes.background import Background, Job
from minikin.api.routes.event_stream import send_events
from minikin.api.routes.operations import any_object, component, listing, of_path, operation
from minikin.api.routes.responses import sent
from minikin.api.routes.stored_events import StoredEvents
from minikin.api.serving.service import Service
from minikin.errors import InvalidRequest, MinikinError, NotFound
from minikin.store.kept import StoredResponse

LISTING = Listing()
INCLUDE = ("include", "include[]")
_RETRIEVAL = (*INCLUDE, "include_obfuscation", "starting_after", "stream")
_BOOLEAN = OneOf(("true", "false"))


def paths() -> dict[str, Any]:
    """The routes of this module, for the OpenAPI document."""
    one = "/v1/responses/{id}"
    return {
        one: {
            "get": of_path("id", operation("Return a response", component("Response"), 400, 404)),
            "delete": of_path("id", operation("Delete a response", any_object(), 404)),
        },
        f"{one}/cancel": {
            "post": of_path(
                "id", operation("Cancel a background response", component("Response"), 400, 404)
            )
        },
        f"{one}/input_items": {
            "get": of_path("id", listing("List the items before its output", LISTING, {}, 404))
        },
    }


class StoredResponses:
    """Return, delete and cancel responses, and list their input items."""

    def __init__(self, service: Service, background: Background) -> None:
        self._service = service
        self._background = background

    async def one(self, request: Request) -> Response:
        """GET: one response, or the events of a background response. Raises NotFound."""
        check_query(request, _RETRIEVAL)
        query = request.query_params
        job = self._job(request)
        if query.get("stream") == "true":
            first = int(query["starting_after"]) + 1 if "starting_after" in query else 0
            padded = query.get("include_obfuscation") != "false"
            if job is None:
                return _Frames(*await self._stored_frames(request, first, padded=padded))
            if not job.turn.request.stream:
                raise _no_stream()
            return _Frames(_frames(job, first, padded=padded), lambda error: b"")
        return json_response(job.body if job else in_full((await self._find(request)).body))

    async def delete(self, request: Request) -> Response:
        """DELETE: delete a response. Those that continue it stay. Raises NotFound."""
        identifier = request.path_params["id"]
        job = self._job(request)
        if job:
            await self._background.cancel(job)
            self._background.forget(job)
        if (
            not await self._service.store.responses.delete(request.state.owner, identifier)
            and not job
        ):
            raise not_found(identifier)
        return json_response({"id": identifier, "object": "response", "deleted": True})

    async def cancel(self, request: Request) -> Response:
        """POST: cancel a background response. Raises NotFound, InvalidRequest."""
        if job := self._job(request):
            await self._background.cancel(job)
            return json_response(job.body)
        found = await self._find(request)
        if not found.body["background"]:
            raise InvalidRequest("Cannot cancel a synchronous response.")
        if found.request:  # another server runs it, and looks into the store
            await self._service.store.responses.cancel(cancelled(found))
            found = await self._find(request)
        return json_response(in_full(found.body))

    async def input_items(self, request: Request) -> Response:
        """GET: a page of the items before its output, newest first. Raises NotFound."""
        page = LISTING.page(request.query_params, INCLUDE)
        check_include(request)
        items = (await self._find(request)).context
        return await large_list(part_of(items, page), page, as_entry)

    async def _stored_frames(
        self, request: Request, first: int, *, padded: bool
    ) -> tuple[AsyncGenerator[bytes, None], Callable[[MinikinError], bytes]]:
        """The events of a response that this server does not run. Raises NotFound."""
        owner, identifier = request.state.owner, request.path_params["id"]
        state = await self._service.store.responses.state(owner, identifier)
        if state is None:
            raise not_found(identifier)
        if not await self._service.store.events.exist(identifier, state.runner):
            raise _no_stream()
        stored = StoredEvents(self._service.store, owner, identifier, state)

        async def frames() -> AsyncGenerator[bytes, None]:
            async with aclosing(stored.follow(first)) as events:
                async for event in events:
                    yield stored_events.sent(event, padded=padded)

        return frames(), stored.failure

    def _job(self, request: Request) -> Job | None:
        """The response, while it runs in the background and for some minutes after."""
        return self._background.find(request.state.owner, request.path_params["id"])

    async def _find(self, request: Request) -> StoredResponse:
        identifier = request.path_params["id"]
        found = await self._service.store.responses.get(request.state.owner, identifier)
        if found is None:
            raise not_found(identifier)
        return found


class _Frames(Response):
    """The events of a background response. A client that leaves does not cancel it."""

    def __init__(
        self, frames: AsyncGenerator[bytes, None], failure: Callable[[MinikinError], bytes]
    ) -> None:
        self._frames = frames
        self._failure = failure
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them, from the first one that the client does not have."""
        async with while_connected(receive), aclosing(self._frames) as frames:
            await send_events(frames, self._failure, send)


async def _frames(job: Job, first: int, *, padded: bool) -> AsyncGenerator[bytes, None]:
    """The events of a response that this server runs."""
    async with (
        aclosing(job.follow(first)) as events,
        aclosing(sent(events if padded else without_padding(events))) as frames,
    ):
        async for frame in frames:
            yield frame


def _no_stream() -> InvalidRequest:
    return InvalidRequest(
        "Only a background response that was created with `stream` can be streamed, until some "
        "minutes after its end.",
        param="stream",
    )


def not_found(identifier: str) -> NotFound:
    """The error for an unknown response."""
    return NotFound(f"Response with id '{identifier[:64]}' not found.")


def check_query(request: Request, known: tuple[str, ...]) -> None:
    """Raise InvalidRequest for a query string that the route does not have."""
    for name, value in request.query_params.items():
        if name not in known:
            raise faults.unknown(name[:64])
        if name in ("stream", "include_obfuscation"):
            _BOOLEAN.check(value, name)
        if name == "starting_after" and not (value.isascii() and value.isdigit()):
            raise faults.wrong_type(name, "an integer", value)
    check_include(request)


def check_include(request: Request) -> None:
    """Raise InvalidRequest for a value that `include` does not have. None changes the answer."""
    for name in INCLUDE:
        for at, value in enumerate(request.query_params.getlist(name)):
            OneOf(INCLUDABLE).check(value, f"include[{at}]")
