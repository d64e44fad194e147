"""POST /v1/chat/completions: plain and streamed answers."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from minikin.api.chunks import DONE, ChunkMaker, fold, server_sent, server_sent_error
from minikin.api.http import json_response, read_json, while_connected
from minikin.api.identifiers import completion_id
from minikin.api.service import Service
from minikin.api.translate import ChatRequest, translate
from minikin.api.wire import Chunk
from minikin.engine.messages import Event
from minikin.errors import EngineFailure, MinikinError

log = logging.getLogger(__name__)

FAULT = "The server had an error while processing your request. Sorry about that!"
_EVENT_STREAM = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
]


class ChatCompletions:
    """The route, as an ASGI application: it has to see the client leave in mid-answer."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises MinikinError, but only before the answer's first byte."""
        service = self._service
        with service.place():
            body = await read_json(Request(scope, receive), service.settings.max_body_bytes)
            chat = translate(body, service.limits)
            async with while_connected(receive):
                generation = await service.generation(chat, completion_id())
                maker = ChunkMaker(chat, generation, service.engine.info.fingerprint)
                events = cast(AsyncGenerator[Event, None], service.engine.generate(generation))
                async with aclosing(events), aclosing(maker.chunks(events)) as chunks:
                    if chat.stream:
                        await _send_stream(chat, chunks, send)
                    else:
                        await json_response(await fold(chunks))(scope, receive, send)


async def _send_stream(chat: ChatRequest, chunks: AsyncGenerator[Chunk, None], send: Send) -> None:
    """Send the chunks as they come; a fault before the first of them is still an HTTP error."""
    first = await anext(chunks)
    await send({"type": "http.response.start", "status": 200, "headers": _EVENT_STREAM})
    try:
        await _send_event(server_sent(first, chat), send)
        async for chunk in chunks:
            await _send_event(server_sent(chunk, chat), send)
        ending = DONE
    except MinikinError as error:
        ending = server_sent_error(error.body())
    except Exception:
        log.exception("an answer failed in the middle")
        ending = server_sent_error(EngineFailure(FAULT).body())
    await send({"type": "http.response.body", "body": ending})


async def _send_event(event: bytes | None, send: Send) -> None:
    if event:
        await send({"type": "http.response.body", "body": event, "more_body": True})
