"""Turns engine events into chunks of raw completions, and chunks into a complete answer."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from statistics import fmean
from typing import Any

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from minikin.api.answer.chunks import ENTRY_BYTES, encoded
from minikin.api.answer.identifiers import reported_model
from minikin.api.completions.translate import CompletionRequest
from minikin.api.completions.wire import (
    TextChoice,
    TextChunk,
    TextCompletion,
    TextLogprobs,
    TextUsage,
)
from minikin.engine.messages import Event, TokenLogprob

_encode = msgspec.json.Encoder().encode


class TextChunkMaker:
    """Makes the chunks of one request from the events of all its prompts."""

    def __init__(
        self,
        request: CompletionRequest,
        identifier: str,
        prompts: list[str],
        *,
        prompt_tokens: int,
    ) -> None:
        """`prompts` are the texts of the prompts, for `echo` and the offsets of tokens."""
        self._request = request
        self._prompts = prompts
        self._prompt_tokens = prompt_tokens
        self._completion_tokens = 0
        self._written = {
            at * request.n + index: len(text)
            for at, text in enumerate(prompts)
            for index in range(request.n)
        }
        """For each choice the characters of the prompt and of the answer so far."""
        self._common: dict[str, Any] = {
            "id": identifier,
            "created": int(time.time()),
            "model": reported_model(request.model),
        }

    async def chunks(
        self, events: AsyncIterator[tuple[int, Event]]
    ) -> AsyncGenerator[TextChunk, None]:
        """The chunks of `events`, each with the place of its prompt.

        The last chunk has no choice, only the usage.
        """
        first = await anext(events)  # an error before it becomes an HTTP error
        for chunk in self._echo():
            yield chunk
        async for at, event in _joined(first, events):
            if event.usage:
                self._completion_tokens += event.usage.completion_tokens
            if event.text or event.logprobs or event.finish_reason:
                choice = self._choice(at * self._request.n + event.index, event)
                yield TextChunk(choices=[choice], **self._common)
        total = self._prompt_tokens + self._completion_tokens
        usage = TextUsage(self._prompt_tokens, self._completion_tokens, total)
        yield TextChunk(choices=[], usage=usage, **self._common)

    def _echo(self) -> Iterator[TextChunk]:
        if self._request.echo:
            for choice in self._written:
                text = self._prompts[choice // self._request.n]
                yield TextChunk(choices=[TextChoice(text=text, index=choice)], **self._common)

    def _choice(self, index: int, event: Event) -> TextChoice:
        start = self._written[index]
        self._written[index] += len(event.text)
        return TextChoice(
            text=event.text,
            index=index,
            logprobs=self._logprobs(event, start) if event.logprobs else None,
            finish_reason=event.finish_reason,
        )

    def _logprobs(self, event: Event, start: int) -> TextLogprobs:
        begins = [start, *(start + end for end in event.token_ends)]
        alternatives = [_alternatives(entry.top) for entry in event.logprobs]
        return TextLogprobs(
            tokens=[shown(entry.token) for entry in event.logprobs],
            token_logprobs=[entry.logprob for entry in event.logprobs],
            top_logprobs=alternatives if self._request.logprobs else None,
            text_offset=begins[: len(event.logprobs)],
        )


def _alternatives(top: tuple[TokenLogprob, ...]) -> dict[str, float]:
    return {shown(other.token): other.logprob for other in top}


def shown(token: bytes) -> str:
    """A token as text. Part of a character is written as OpenAI does: `bytes:\\xe2\\x80`."""
    try:
        return token.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in token)


async def _joined(
    first: tuple[int, Event], rest: AsyncIterator[tuple[int, Event]]
) -> AsyncGenerator[tuple[int, Event], None]:
    yield first
    async for item in rest:
        yield item


def server_sent(chunk: TextChunk, request: CompletionRequest) -> bytes | None:
    """The chunk as a server-sent event, according to the request's stream options."""
    if chunk.choices:
        chunk = replace(chunk, usage=None if request.include_usage else UNSET)
    elif not request.include_usage:
        return None
    return b"data: " + _encode(chunk) + b"\n\n"


class Fold:
    """Folds the chunks of a request into one completion."""

    def __init__(self) -> None:
        self._parts: dict[int, list[TextChoice]] = {}
        self._last: TextChunk | None = None
        self.size = 0
        """About the bytes of the completion as JSON, without its text."""

    def add(self, chunk: TextChunk) -> None:
        """Add the next chunk."""
        for part in chunk.choices:
            self._parts.setdefault(part.index, []).append(part)
            self.size += _size(part)
        self._last = chunk

    def completion(self, request: CompletionRequest) -> TextCompletion:
        """The completion, after the chunk with the usage is added."""
        last = self._last
        assert last is not None
        assert isinstance(last.usage, TextUsage)
        made = [_folded(self._parts[index]) for index in sorted(self._parts)]
        groups = [made[at : at + request.n] for at in range(0, len(made), request.n)]
        kept = [choice for group in groups for choice in _best(group, request)]
        choices = encoded(replace(choice, index=index) for index, choice in enumerate(kept))
        return TextCompletion(
            id=last.id,
            created=last.created,
            model=last.model,
            choices=choices,
            usage=last.usage,
        )


def _size(part: TextChoice) -> int:
    if part.logprobs is None:
        return 0
    top = sum(map(len, part.logprobs.top_logprobs or ()))
    return ENTRY_BYTES * (len(part.logprobs.tokens) + top)


def _folded(parts: list[TextChoice]) -> TextChoice:
    """One answer, from its parts."""
    found = [part.logprobs for part in parts if part.logprobs]
    together = TextLogprobs(
        tokens=[token for part in found for token in part.tokens],
        token_logprobs=[value for part in found for value in part.token_logprobs],
        top_logprobs=[top for part in found for top in part.top_logprobs or ()] or None,
        text_offset=[offset for part in found for offset in part.text_offset],
    )
    return TextChoice(
        text="".join(part.text for part in parts),
        index=parts[0].index,
        logprobs=together,
        finish_reason=parts[-1].finish_reason,
    )


def _best(group: list[TextChoice], request: CompletionRequest) -> list[TextChoice]:
    """The answers to one prompt that are returned: the most likely ones, as OpenAI ranks them."""
    if request.n > request.kept:
        group = sorted(group, key=_mean_logprob, reverse=True)[: request.kept]
    if request.logprobs is not None:
        return group
    return [replace(choice, logprobs=None) for choice in group]


def _mean_logprob(choice: TextChoice) -> float:
    values = choice.logprobs.token_logprobs if choice.logprobs else []
    return fmean(values) if values else 0.0
