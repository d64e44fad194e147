"""POST /v1/completions: OpenAI's 404 for a chat model, or raw completions as an extension."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from minikin.api.answer.chunks import DONE, server_sent_error
from minikin.api.answer.identifiers import text_completion_id
from minikin.api.completions.chunks import Fold, TextChunkMaker, server_sent
from minikin.api.completions.echo import EchoedPrompt
from minikin.api.completions.translate import CompletionRequest, translate
from minikin.api.completions.wire import TextChunk
from minikin.api.http.access_log import noted
from minikin.api.http.bodies import read_json
from minikin.api.http.extensions import limits_of
from minikin.api.http.http import json_response, while_connected
from minikin.api.http.large import off_loop
from minikin.api.request.affinity import affinity_key
from minikin.api.routes.answering import answering
from minikin.api.routes.event_stream import send_events
from minikin.api.routes.merge import merged
from minikin.api.routes.operations import (
    ANSWER_FAULTS,
    CHUNKS,
    component,
    operation,
    streaming,
)
from minikin.api.serving.service import Service
from minikin.errors import MinikinError, NotFound

_CHAT_ONLY = (
    "This is a chat model and not supported in the v1/completions endpoint. "
    "Did you mean to use v1/chat/completions?"
)


def paths() -> dict[str, Any]:
    """The route of this module, for the OpenAPI document."""
    described = operation(
        "Continue a prompt as it is: only with `--extensions`, otherwise OpenAI's 404",
        component("TextCompletion"),
        *ANSWER_FAULTS,
    )
    described["requestBody"] = {"required": True, "content": component("CompletionRequest")}
    return {"/v1/completions": {"post": streaming(described, CHUNKS)}}


class Completions:
    """The route, as an ASGI application, because it must see when the client disconnects."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises MinikinError only before the first byte of the answer."""
        service, owner = self._service, scope["state"]["owner"]
        limits = limits_of(scope, service.limits)
        if not limits.extensions:
            raise NotFound(_CHAT_ONLY, param="model")
        service.require_place(owner)
        service.account(owner).take_request()
        checked = partial(translate, limits=limits)
        asked = await read_json(Request(scope, receive), service, checked)
        scope["state"]["session"] = affinity_key(asked, owner)
        with service.place(owner):
            async with (
                while_connected(receive),
                self._answered(asked, owner, noted(scope)) as chunks,
                aclosing(_sent(asked, chunks)) as events,
            ):
                if asked.stream:
                    await send_events(events, _failure, send)
                else:
                    fold = Fold()
                    async for chunk in chunks:
                        fold.add(chunk)
                    completion = await off_loop(fold.size, partial(fold.completion, asked))
                    await json_response(completion)(scope, receive, send)

    @asynccontextmanager
    async def _answered(
        self, asked: CompletionRequest, owner: str, facts: dict[str, Any]
    ) -> AsyncGenerator[AsyncGenerator[TextChunk, None], None]:
        """The chunks of the answers to all prompts, which the engine computes together."""
        identifier = text_completion_id()
        async with AsyncExitStack() as stack:
            answers = [
                await stack.enter_async_context(
                    answering(
                        self._service, asked.of_prompt(at), f"{identifier}-{at}", owner, facts
                    )
                )
                for at in range(len(asked.prompts))
            ]
            ids = [answer.prepared.generation.prompt for answer in answers]
            asked.check_echoed(sum(map(len, ids)))
            async with self._service.models.use(asked.model) as model:
                prompts = [
                    EchoedPrompt(asked.of_prompt(at), own, model.tokenizer)
                    for at, own in enumerate(ids)
                ]
            maker = TextChunkMaker(asked, identifier, prompts)
            events = await stack.enter_async_context(
                aclosing(merged([answer.events for answer in answers]))
            )
            yield await stack.enter_async_context(aclosing(maker.chunks(events)))


async def _sent(
    asked: CompletionRequest, chunks: AsyncGenerator[TextChunk, None]
) -> AsyncGenerator[bytes, None]:
    """The chunks as they are sent."""
    async for chunk in chunks:
        if event := server_sent(chunk, asked):
            yield event
    yield DONE


def _failure(error: MinikinError) -> bytes:
    return server_sent_error(error.body())
