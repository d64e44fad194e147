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
from minikin.api.completions.echo import EchoedPrompt, alternatives, shown
from minikin.api.completions.translate import CompletionRequest
from minikin.api.completions.wire import (
    Likely,
    TextChoice,
    TextChunk,
    TextCompletion,
    TextLogprobs,
    TextUsage,
)
from minikin.engine.messages import Event

_encode = msgspec.json.Encoder().encode


class TextChunkMaker:
    """Makes the chunks of one request from the events of all its prompts."""

    def __init__(
        self,
        request: CompletionRequest,
        identifier: str,
        prompts: list[EchoedPrompt],
    ) -> None:
        self._request = request
        self._prompts = prompts
        self._echoed: set[int] = set()
        """The prompts before which answers can begin."""
        self._prompt_tokens = sum(prompt.tokens for prompt in prompts)
        self._completion_tokens = 0
        self._written = {
            at * request.n + index: len(prompt.text)
            for at, prompt in enumerate(prompts)
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
        async for at, event in events:
            if event.prompt_logprobs:
                self._prompts[at].add(event.prompt_logprobs)
                continue
            for chunk in self._echo(at):
                yield chunk
            if event.usage:
                self._completion_tokens += event.usage.completion_tokens
            if event.text or event.logprobs or event.finish_reason:
                choice = self._choice(at * self._request.n + event.index, event)
                yield TextChunk(choices=[choice], **self._common)
        total = self._prompt_tokens + self._completion_tokens
        usage = TextUsage(self._prompt_tokens, self._completion_tokens, total)
        yield TextChunk(choices=[], usage=usage, **self._common)

    def _echo(self, at: int) -> Iterator[TextChunk]:
        """The chunks with a prompt, once for each of its answers."""
        if self._request.echo and at not in self._echoed:
            self._echoed.add(at)
            for index in range(at * self._request.n, (at + 1) * self._request.n):
                yield TextChunk(choices=[self._prompts[at].choice(index)], **self._common)

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
        top: list[Likely | None] = [alternatives(entry.top) for entry in event.logprobs]
        begins = [start, *(start + end for end in event.token_ends)]
        return TextLogprobs(
            tokens=[shown(entry.token) for entry in event.logprobs],
            token_logprobs=[entry.logprob for entry in event.logprobs],
            top_logprobs=top if self._request.logprobs else None,
            text_offset=begins[: len(event.logprobs)],
        )


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
        answers = [self._parts[index] for index in sorted(self._parts)]
        groups = [answers[at : at + request.n] for at in range(0, len(answers), request.n)]
        kept = [_folded(parts) for group in groups for parts in _best(group, request)]
        choices = encoded(_numbered(choice, index, request) for index, choice in enumerate(kept))
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
    top = sum(map(len, filter(None, part.logprobs.top_logprobs or ())))
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


def _numbered(choice: TextChoice, index: int, request: CompletionRequest) -> TextChoice:
    """An answer as it is returned. Log probabilities can be there only for the ranking."""
    logprobs = choice.logprobs if request.logprobs is not None else None
    return replace(choice, index=index, logprobs=logprobs)


def _best(group: list[list[TextChoice]], request: CompletionRequest) -> list[list[TextChoice]]:
    """The answers to one prompt that are returned: the most likely ones, as OpenAI ranks them."""
    if request.n == request.kept:
        return group
    begin = 1 if request.echo else 0
    ranked = sorted(group, key=lambda parts: _mean_logprob(parts[begin:]), reverse=True)
    return ranked[: request.kept]


def _mean_logprob(parts: list[TextChoice]) -> float:
    found = [part.logprobs.token_logprobs for part in parts if part.logprobs]
    values = [value for values in found for value in values if value is not None]
    return fmean(values) if values else 0.0
