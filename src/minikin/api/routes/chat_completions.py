"""POST /v1/chat/completions: plain and streamed answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import msgspec
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from minikin.api.answer.chunks import DONE, ChunkMaker, Fold, server_sent, server_sent_error
from minikin.api.answer.identifiers import completion_id
from minikin.api.answer.wire import ChatCompletion, Chunk, Usage
from minikin.api.http.access_log import note
from minikin.api.http.http import FAULT, WRITE_SECONDS, json_response, read_json, while_connected
from minikin.api.request.translate import ChatRequest, translate
from minikin.api.serving.service import Service
from minikin.errors import EngineFailure, MinikinError
from minikin.store.completions import StoredCompletion

log = logging.getLogger(__name__)

_EVENT_STREAM = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # otherwise nginx buffers events
]


class ChatCompletions:
    """The route, as an ASGI application, because it must see when the client disconnects."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises MinikinError only before the first byte of the answer."""
        service = self._service
        with service.place():
            body = await read_json(Request(scope, receive), service.settings.max_body_bytes)
            chat = translate(body, service.limits)
            note(scope, model=chat.model)
            async with while_connected(receive), service.models.use(chat.model) as model:
                prepared = await model.prepare(
                    chat,
                    completion_id(),
                    owner=scope["state"]["owner"],
                    default_max_tokens=service.settings.default_max_tokens,
                )
                note(scope, prompt_tokens=len(prepared.generation.prompt))
                chat = chat.sampled_with(prepared.generation.params)
                maker = ChunkMaker(chat, prepared, fingerprint=model.engine.info.fingerprint)
                events = model.engine.generate(prepared.generation)
                async with (
                    aclosing(events),
                    aclosing(maker.chunks(events)) as chunks,
                    aclosing(_counted(chunks, scope)) as counted,
                ):
                    if chat.stream:
                        await self._stream(chat, counted, scope, send)
                    else:
                        answer = await self._whole(chat, counted, scope)
                        await json_response(answer)(scope, receive, send)

    async def _whole(
        self, chat: ChatRequest, chunks: AsyncGenerator[Chunk, None], scope: Scope
    ) -> ChatCompletion:
        """The answer without a stream: the fold of the same chunks."""
        fold = Fold()
        async for chunk in chunks:
            fold.add(chunk)
        return await self._keep(chat, fold, scope) if chat.store else fold.completion()

    async def _stream(
        self, chat: ChatRequest, chunks: AsyncGenerator[Chunk, None], scope: Scope, send: Send
    ) -> None:
        """Send the chunks as they arrive. An error before the first chunk is an HTTP error."""
        chunk: Chunk | None = await anext(chunks)
        await send({"type": "http.response.start", "status": 200, "headers": _EVENT_STREAM})
        fold = Fold()
        try:
            while chunk:
                if chat.store:
                    fold.add(chunk)
                await _send_event(server_sent(chunk, chat), send)
                chunk = await anext(chunks, None)
            if chat.store:
                await self._keep(chat, fold, scope)
            ending = DONE
        except TimeoutError:
            return
        except MinikinError as error:
            ending = server_sent_error(error.body())
        except Exception:
            log.exception("An answer failed after its first byte")
            ending = server_sent_error(EngineFailure(FAULT).body())
        await send({"type": "http.response.body", "body": ending})

    async def _keep(self, chat: ChatRequest, fold: Fold, scope: Scope) -> ChatCompletion:
        """Store the finished answer."""
        answer = fold.completion(chat.metadata)
        body = msgspec.to_builtins(answer) | chat.settings
        del body["metadata"]
        await self._service.store.completions.add(
            StoredCompletion(
                id=answer.id,
                owner=scope["state"]["owner"],
                model=answer.model,
                body=body | {"request_id": scope["state"]["request_id"]},
                messages=chat.messages,
                metadata=chat.metadata,
            )
        )
        return answer


async def _counted(chunks: AsyncIterator[Chunk], scope: Scope) -> AsyncGenerator[Chunk, None]:
    """The chunks; the last one's token count goes to the access log."""
    async for chunk in chunks:
        if isinstance(chunk.usage, Usage):
            note(scope, completion_tokens=chunk.usage.completion_tokens)
        yield chunk


async def _send_event(event: bytes | None, send: Send) -> None:
    if event:
        async with asyncio.timeout(WRITE_SECONDS):
            await send({"type": "http.response.body", "body": event, "more_body": True})
