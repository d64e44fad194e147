"""POST /v1/responses, plain and streamed, and /v1/responses/input_tokens."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response as HttpResponse
from starlette.types import Receive, Scope, Send

from minikin.api.answer.identifiers import ResponseIds
from minikin.api.http.access_log import noted
from minikin.api.http.http import json_response, read_json, while_connected
from minikin.api.responses.combinations import no_prompt, one_context
from minikin.api.responses.events import ResponseEvent, server_sent
from minikin.api.responses.maker import ResponseMaker
from minikin.api.responses.translate import COUNTED, Body, ResponseRequest, read
from minikin.api.responses.wire import Billing, InputTokens, Response
from minikin.api.routes.answering import answering
from minikin.api.routes.event_stream import send_events
from minikin.api.routes.operations import BODY_FAULTS, component, operation
from minikin.api.serving.service import Service
from minikin.errors import InvalidRequest, MinikinError, NotFound


def paths() -> dict[str, Any]:
    """The routes of responses, for the OpenAPI document."""
    failures = (*BODY_FAULTS, 404, 500, 503)
    create = operation("Make a response", component("Response"), *failures)
    create["requestBody"] = {"required": True, "content": component("ResponseRequest")}
    create["responses"]["200"]["content"]["text/event-stream"] = {
        "schema": {"type": "string", "description": "events, with a name and `data:` each"}
    }
    count = operation("Count the input tokens", component("InputTokens"), *failures)
    count["requestBody"] = {"required": True, "content": component("InputTokensRequest")}
    return {
        "/v1/responses": {"post": create},
        "/v1/responses/input_tokens": {"post": count},
    }


class Responses:
    """The route, as an ASGI application, because it must see when the client disconnects."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises MinikinError only before the first byte of the answer."""
        service = self._service
        owner = scope["state"]["owner"]
        with service.place():
            body = await read_json(Request(scope, receive), service.settings.max_body_bytes)
            asked = await _with_state(read(body, service.limits))
            ids = ResponseIds()
            maker = ResponseMaker(asked, ids)
            async with (
                while_connected(receive),
                answering(service, asked, ids.response, owner, noted(scope)) as answer,
                aclosing(maker.events(answer.prepared, answer.events)) as events,
                aclosing(_sent(events)) as sent,
            ):
                if asked.stream:
                    await send_events(sent, lambda error: _failure(maker, error), send)
                else:
                    async for _ in events:
                        pass
                    await json_response(in_full(maker.response))(scope, receive, send)

    async def count(self, request: Request) -> HttpResponse:
        """POST /v1/responses/input_tokens. Equal to `usage.input_tokens` of the same response."""
        service = self._service
        body = await read_json(request, service.settings.max_body_bytes)
        with service.place():
            asked = await _with_state(read(body, service.limits, COUNTED))
            async with service.models.use(asked.model) as model:
                tokens = await model.count(asked)
        return json_response(InputTokens(input_tokens=tokens))


def in_full(response: Response) -> Response:
    """The response as a JSON answer has it: with the payer, after its end."""
    ended = response.status not in ("queued", "in_progress")
    return replace(response, billing=Billing()) if ended else response


async def _with_state(body: Body) -> ResponseRequest:
    one_context(body.values)
    fields = body.fields
    if conversation := fields.get("conversation"):
        raise NotFound(f"Conversation with id '{conversation}' not found.")
    no_prompt(body.values)
    if previous := fields.get("previous_response_id"):
        raise InvalidRequest(
            f"Previous response with id '{previous}' not found.",
            param="previous_response_id",
            code="previous_response_not_found",
        )
    return body.with_context([])


async def _sent(events: AsyncGenerator[ResponseEvent, None]) -> AsyncGenerator[bytes, None]:
    async for event in events:
        yield server_sent(event)


def _failure(maker: ResponseMaker, error: MinikinError) -> bytes:
    return b"".join(map(server_sent, maker.fail(error)))
