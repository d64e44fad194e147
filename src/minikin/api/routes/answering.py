"""From a checked request to the engine's events, for every API."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, NamedTuple

from minikin.api.answer.prepared import Prepared
from minikin.api.request.answer_request import AnswerRequest
from minikin.api.serving.metrics import Progress
from minikin.api.serving.served_model import ServedModel
from minikin.api.serving.service import Service
from minikin.engine.messages import Event, GenerationRequest
from minikin.errors import Cancelled, MinikinError, ShuttingDown


class Answering(NamedTuple):
    """A request that the engine answers."""

    prepared: Prepared
    events: AsyncGenerator[Event, None]
    fingerprint: str
    """Of the model."""


@asynccontextmanager
async def answering(
    service: Service, request: AnswerRequest, identifier: str, owner: str, noted: dict[str, Any]
) -> AsyncIterator[Answering]:
    """The engine's events for `request`. The end of the block cancels it.

    `noted` gets the token counts, for the access log. Raises MinikinError.
    """
    noted["model"] = request.model
    begun = time.perf_counter()
    async with service.models.use(request.model) as model:
        async with service.preparing():
            try:
                prepared = await model.prepare(
                    request,
                    identifier,
                    owner=owner,
                    default_max_tokens=service.settings.default_max_tokens,
                    gives_way=service.gives_way,
                )
            except MinikinError as error:
                if service.models.is_stopped:
                    # Its processes are lost, so the error can be untrue.
                    raise ShuttingDown from error
                raise
        prompt = len(prepared.generation.prompt)
        noted["prompt_tokens"] = noted.get("prompt_tokens", 0) + prompt
        # A limit of the answer counts as if the answer had that length until its end, as at OpenAI.
        limit = prepared.generation.params.max_tokens if request.max_tokens else 0
        taken = prompt + limit * prepared.generation.n
        name = service.models.names[request.model].id
        running = _running(service, model, name, prepared.generation, taken, begun)
        async with running as (events, progress):
            counted = _counted(events, noted, progress)
            async with aclosing(counted):
                yield Answering(prepared, counted, model.engine.info.fingerprint)


@asynccontextmanager
async def _running(
    service: Service,
    model: ServedModel,
    name: str,
    generation: GenerationRequest,
    taken: int,
    begun: float,
) -> AsyncIterator[tuple[AsyncGenerator[Event, None], Progress]]:
    """The engine's events in time, while `taken` tokens of the owner's limit are in use.

    Raises RateLimited, RequestTooLarge, and Overloaded if the request would wait too long.
    """
    account, queue, used = service.account(generation.scope), service.waiting[name], 0
    account.take_tokens(taken)
    try:
        with (
            queue.turn(generation) as turn,
            service.metrics.answer(name, generation, begun) as progress,
            service.tracing.answer(name, generation, progress),
        ):
            generated = model.engine.generate(generation)
            timed = queue.in_time(generated, turn, begun)
            try:
                async with aclosing(generated), aclosing(timed):
                    yield timed, progress
            finally:
                used = len(generation.prompt) + progress.generated
    finally:
        account.settle_tokens(used - taken)


async def _counted(
    events: AsyncGenerator[Event, None], noted: dict[str, Any], progress: Progress
) -> AsyncGenerator[Event, None]:
    """The events; the token count of the answers goes to the access log and the metrics."""
    try:
        async for event in events:
            progress.add(event)
            if event.usage:
                tokens = noted.get("completion_tokens", 0) + event.usage.completion_tokens
                noted["completion_tokens"] = tokens
            yield event
    except Exception as error:
        progress.failed = not isinstance(error, Cancelled)
        raise
