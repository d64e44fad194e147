"""POST /v1/responses, plain and streamed, and /v1/responses/input_tokens."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response as HttpResponse
from starlette.types import Receive, Scope, Send

from minikin.api.answer.identifiers import LineIds, ResponseIds
from minikin.api.http.access_log import noted
from minikin.api.http.bodies import read_json
from minikin.api.http.http import json_response, while_connected
from minikin.api.http.large import off_loop
from minikin.api.request.affinity import affinity_key
from minikin.api.responses.events import ResponseEvent, server_sent
from minikin.api.responses.maker import ResponseMaker
from minikin.api.responses.state import gathered, in_full
from minikin.api.responses.translate import COUNTED, Body, ResponseRequest, read
from minikin.api.responses.wire import InputTokens
from minikin.api.routes.background import Background
from minikin.api.routes.event_stream import send_events
from minikin.api.routes.keeping import COMMENT, WARNING
from minikin.api.routes.operations import ANSWER_FAULTS, component, operation, streaming
from minikin.api.routes.response_turn import ITEM_WORK, ResponseTurn, begun
from minikin.api.serving.service import Service
from minikin.errors import MinikinError

WORK = 4
"""A byte takes so many times longer than elsewhere: the schemas of tools are rewritten."""


def paths() -> dict[str, Any]:
    """The routes of this module, for the OpenAPI document."""
    create = operation("Make a response", component("Response"), *ANSWER_FAULTS)
    create["requestBody"] = {"required": True, "content": component("ResponseRequest")}
    streaming(create, "events, with a name and `data:` each")
    count = operation("Count the input tokens", component("InputTokens"), *ANSWER_FAULTS)
    count["requestBody"] = {"required": True, "content": component("InputTokensRequest")}
    return {
        "/v1/responses": {"post": create},
        "/v1/responses/input_tokens": {"post": count},
    }


class Responses:
    """The route, as an ASGI application, because it must see when the client disconnects."""

    def __init__(self, service: Service, background: Background) -> None:
        self._service = service
        self._background = background

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises MinikinError only before the first byte of the answer."""
        service, owner = self._service, scope["state"]["owner"]
        service.require_place(owner)
        service.account(owner).take_request()
        request = Request(scope, receive)
        body, read = await self._read(request)
        with service.place(owner):
            asked = await self._resolved(read, request)
            scope["state"]["session"] = affinity_key(asked, owner)
            if asked.background:
                job = await self._background.begin(asked, body, owner)
                turn, events, whole = job.turn, job.follow(0), job.body
            else:
                turn, whole = await begun(service, asked, owner, _ids(scope)), None
                events = turn.events(noted(scope))
            async with while_connected(receive), aclosing(events):
                if asked.stream:
                    async with aclosing(_sent(events, turn)) as frames:
                        failure = partial(_failure, turn.maker)
                        await send_events(frames, failure, send, _warnings(asked))
                else:
                    answer = json_response(whole or await turn.whole(noted(scope)))
                    answer.headers.update(_warnings(asked))
                    if not turn.is_kept:
                        answer.headers["warning"] = WARNING
                    await answer(scope, receive, send)

    async def stored(self, owner: str, ids: LineIds) -> dict[str, Any] | None:
        """The answer to a line of a batch, if an earlier run of the line stored it."""
        found = await self._service.store.responses.get(owner, ids.response)
        if found is None or found.body["status"] not in ("completed", "incomplete"):
            return None
        return in_full(found.body)

    async def _read(
        self, request: Request, names: tuple[str, ...] | None = None
    ) -> tuple[Any, Body]:
        """The body, and the request in it. Raises InvalidRequest."""
        service = self._service

        def checked(body: Any) -> tuple[Any, Body]:
            return body, read(body, service.limits, names)

        return await read_json(request, service, checked)

    async def _resolved(self, body: Body, request: Request) -> ResponseRequest:
        """The request in `body`, with its context and the items that it refers to.

        Raises NotFound or InvalidRequest if the owner of the key lacks the context or an item, or
        if the items do not fit together.
        """
        context, new = await gathered(body, self._service.store, request.state.owner)
        work = request.state.body_bytes * WORK + len(context) * ITEM_WORK
        return await off_loop(work, partial(body.with_context, context, new))

    async def count(self, request: Request) -> HttpResponse:
        """POST /v1/responses/input_tokens. Equal to `usage.input_tokens` of the same response."""
        service, owner = self._service, request.state.owner
        _, read = await self._read(request, COUNTED)
        with service.place(owner):
            asked = await self._resolved(read, request)
            async with service.models.use(asked.model) as model:
                tokens = await model.count(asked)
        return json_response(InputTokens(input_tokens=tokens))


def _ids(scope: Scope) -> ResponseIds | None:
    """Those of a line of a batch. None: new ones."""
    ids: LineIds | None = scope["state"].get("line_ids")
    return ResponseIds(ids.response) if ids else None


async def sent(events: AsyncGenerator[ResponseEvent, None]) -> AsyncGenerator[bytes, None]:
    """The events as they are sent."""
    async for event in events:
        yield server_sent(event)


async def _sent(
    events: AsyncGenerator[ResponseEvent, None], turn: ResponseTurn
) -> AsyncGenerator[bytes, None]:
    """The events of a new response as they are sent. It is stored before the last one."""
    async for event in events:
        if not turn.is_kept:
            yield COMMENT
        yield server_sent(event)


def _warnings(asked: ResponseRequest) -> dict[str, str]:
    """The header that names dropped tools."""
    if not asked.dropped_tools:
        return {}
    names = ", ".join(dict.fromkeys(asked.dropped_tools))
    return {"warning": f'299 minikin "Dropped hosted tools: {names}"'}


def _failure(maker: ResponseMaker, error: MinikinError) -> bytes:
    return b"".join(map(server_sent, maker.fail(error)))
