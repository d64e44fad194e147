"""POST /v1/chat/completions: plain and streamed answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import asdict
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from minikin.api.answer.chunks import (
    DONE,
    ChunkMaker,
    Fold,
    in_parts,
    server_sent,
    server_sent_error,
)
from minikin.api.answer.identifiers import LineIds, completion_id
from minikin.api.answer.wire import ChatCompletion, Chunk
from minikin.api.http.access_log import noted
from minikin.api.http.bodies import read_json
from minikin.api.http.extensions import limits_of
from minikin.api.http.http import encode, json_response, while_connected
from minikin.api.http.large import off_loop
from minikin.api.request.affinity import affinity_key
from minikin.api.request.translate import ChatRequest, translate
from minikin.api.routes.answering import answering
from minikin.api.routes.event_stream import send_events
from minikin.api.routes.keeping import COMMENT, WARNING, is_kept
from minikin.api.serving.service import Service
from minikin.errors import MinikinError
from minikin.store.kept import StoredCompletion


class ChatCompletions:
    """The route, as an ASGI application, because it must see when the client disconnects."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises MinikinError only before the first byte of the answer."""
        service = self._service
        owner = scope["state"]["owner"]
        service.require_place(owner)
        service.account(owner).take_request()
        request = Request(scope, receive)
        limits = limits_of(scope, service.limits)
        chat = await read_json(request, service, partial(translate, limits=limits))
        scope["state"]["session"] = affinity_key(chat, owner)
        with service.place(owner):
            async with (
                while_connected(receive),
                answering(service, chat, _identifier(scope), owner, noted(scope)) as answer,
            ):
                chat = chat.sampled_with(answer.prepared.generation.params)
                maker = ChunkMaker(chat, answer.prepared, fingerprint=answer.fingerprint)
                async with (
                    aclosing(maker.chunks(answer.events)) as chunks,
                    aclosing(self._events(chat, chunks, scope)) as events,
                ):
                    if chat.stream:
                        await send_events(events, _failure, send)
                    else:
                        completion, stored = await self._whole(chat, chunks, scope)
                        whole = json_response(completion)
                        if not stored:
                            whole.headers["warning"] = WARNING
                        await whole(scope, receive, send)

    async def stored(self, owner: str, ids: LineIds) -> dict[str, Any] | None:
        """The answer to a line of a batch, if an earlier run of the line stored it."""
        found = await self._service.store.completions.get(owner, ids.completion)
        if found is None:
            return None
        return msgspec.to_builtins(msgspec.json.decode(found.answer, type=ChatCompletion))

    async def _whole(
        self, chat: ChatRequest, chunks: AsyncGenerator[Chunk, None], scope: Scope
    ) -> tuple[ChatCompletion, bool]:
        """The answer without a stream: the fold of the same chunks. False if it is not stored."""
        fold = Fold()
        async for chunk in chunks:
            fold.add(chunk)
        if chat.store:
            return await self._keep(chat, fold, scope)
        return await off_loop(fold.size, lambda: in_parts(fold.completion())), True

    async def _events(
        self, chat: ChatRequest, chunks: AsyncGenerator[Chunk, None], scope: Scope
    ) -> AsyncGenerator[bytes, None]:
        """The chunks as they are sent."""
        fold = Fold()
        async for chunk in chunks:
            if chat.store:
                fold.add(chunk)
            if event := server_sent(chunk, chat):
                yield event
        if chat.store and not (await self._keep(chat, fold, scope))[1]:
            yield COMMENT
        yield DONE

    async def _keep(
        self, chat: ChatRequest, fold: Fold, scope: Scope
    ) -> tuple[ChatCompletion, bool]:
        """Store the finished answer. Returns it, and whether it is stored."""
        answer = await off_loop(fold.size, lambda: in_parts(fold.completion(chat.metadata)))
        body = asdict(answer) | chat.settings
        del body["metadata"]
        storing = self._service.store.completions.add(
            StoredCompletion(
                id=answer.id,
                owner=scope["state"]["owner"],
                model=answer.model,
                body=Raw(encode(body | {"request_id": scope["state"]["request_id"]})),
                messages=chat.messages,
                metadata=chat.metadata,
            )
        )
        return answer, await is_kept(storing)


def _identifier(scope: Scope) -> str:
    ids: LineIds | None = scope["state"].get("line_ids")
    return ids.completion if ids else completion_id()


def _failure(error: MinikinError) -> bytes:
    return server_sent_error(error.body())
