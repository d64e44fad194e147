"""From a checked request to the engine's events, for every API."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any, NamedTuple

from minikin.api.access.account import Account
from minikin.api.answer.prepared import Prepared
from minikin.api.request.answer_request import AnswerRequest
from minikin.api.serving.metrics import Progress
from minikin.api.serving.service import Service
from minikin.engine.messages import Event
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
        generated = model.engine.generate(prepared.generation)
        name = service.models.names[request.model].id
        with (
            service.metrics.answer(name, prepared.generation, begun) as progress,
            _tokens(service.account(owner), request, prepared, progress),
        ):
            counted = _counted(generated, noted, progress)
            async with aclosing(generated), aclosing(counted) as events:
                yield Answering(prepared, events, model.engine.info.fingerprint)


@contextmanager
def _tokens(
    account: Account, request: AnswerRequest, prepared: Prepared, progress: Progress
) -> Iterator[None]:
    """A block whose tokens count against the limits of a key.

    A limit of the answer counts as if the answer had that length until its end is known, as at
    OpenAI. Raises RateLimited, RequestTooLarge.
    """
    prompt, n = len(prepared.generation.prompt), prepared.generation.n
    limit = prepared.generation.params.max_tokens if request.max_tokens else 0
    taken = prompt + limit * n
    account.take_tokens(taken)
    try:
        yield
    finally:
        account.settle_tokens(prompt + progress.generated - taken)


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
