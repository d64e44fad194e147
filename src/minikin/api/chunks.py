"""From engine events to chunks, and from chunks to a whole completion.

Streaming is the only path: an answer without `stream` is the fold of the chunks it would have been.
"""

from __future__ import annotations

import random
import string
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from minikin.api.translate import ChatRequest
from minikin.api.wire import (
    ChatCompletion,
    Choice,
    Chunk,
    ChunkChoice,
    CompletionTokensDetails,
    Delta,
    Logprobs,
    Message,
    PromptTokensDetails,
    TokenLogprob,
    TopLogprob,
    Usage,
)
from minikin.engine.messages import ChoiceUsage, Event, GenerationRequest, TokenEntry

_PADDING = string.ascii_letters + string.digits
_MAX_PADDING = 15
"""Characters of obfuscation at most, as recorded."""
_encode = msgspec.json.Encoder().encode
DONE = b"data: [DONE]\n\n"


class ChunkMaker:
    """Makes the chunks of one request: role first, then text, then the end of each choice."""

    def __init__(
        self, request: ChatRequest, generation: GenerationRequest, fingerprint: str
    ) -> None:
        self._prompt_tokens = len(generation.prompt)
        self._with_logprobs = generation.params.top_logprobs is not None
        self._begun: set[int] = set()
        self._usages: list[ChoiceUsage] = []
        self._common: dict[str, Any] = {
            "id": generation.id,
            "created": int(time.time()),
            "model": request.model,
            "system_fingerprint": fingerprint,
        }

    async def chunks(self, events: AsyncIterator[Event]) -> AsyncGenerator[Chunk, None]:
        """A chunk for each thing that `events` tell; the last one has no choice but the usage."""
        async for event in events:
            for choice in self._choices(event):
                yield Chunk(choices=[choice], **self._common)
        yield Chunk(choices=[], usage=self._usage(), **self._common)

    def _choices(self, event: Event) -> Iterable[ChunkChoice]:
        index = event.index
        if index not in self._begun:
            self._begun.add(index)
            none_yet = Logprobs(content=[]) if self._with_logprobs else None
            yield ChunkChoice(index, Delta(role="assistant", content="", refusal=None), none_yet)
        if event.text or event.logprobs:
            yield ChunkChoice(index, Delta(content=event.text), self._logprobs(event))
        if event.finish_reason:
            if event.usage:
                self._usages.append(event.usage)
            yield ChunkChoice(index, Delta(), None, event.finish_reason)

    def _logprobs(self, event: Event) -> Logprobs | None:
        if not self._with_logprobs:
            return None
        return Logprobs(content=[_token_logprob(entry) for entry in event.logprobs])

    def _usage(self) -> Usage:
        completion = sum(usage.completion_tokens for usage in self._usages)
        return Usage(
            prompt_tokens=self._prompt_tokens,
            completion_tokens=completion,
            total_tokens=self._prompt_tokens + completion,
            prompt_tokens_details=PromptTokensDetails(
                cached_tokens=max((usage.cached_tokens for usage in self._usages), default=0)
            ),
            completion_tokens_details=CompletionTokensDetails(
                accepted_prediction_tokens=sum(u.accepted_prediction_tokens for u in self._usages),
                rejected_prediction_tokens=sum(u.rejected_prediction_tokens for u in self._usages),
            ),
        )


def _token_logprob(entry: TokenEntry) -> TokenLogprob:
    return TokenLogprob(
        token=_shown(entry.token),
        logprob=entry.logprob,
        bytes=list(entry.token),
        top_logprobs=[
            TopLogprob(token=_shown(top.token), logprob=top.logprob, bytes=list(top.token))
            for top in entry.top
        ],
    )


def _shown(token: bytes) -> str:
    """A token as text; bytes that are only part of a character are escaped, as OpenAI's are."""
    return token.decode(errors="backslashreplace")


def server_sent(chunk: Chunk, request: ChatRequest) -> bytes | None:
    """The chunk as a server-sent event, with what the request's stream options add or leave out."""
    if chunk.choices:
        usage = None if request.include_usage else UNSET
    elif request.include_usage:
        usage = chunk.usage
    else:
        return None
    obfuscation = _padding() if request.include_obfuscation else UNSET
    sent = msgspec.structs.replace(chunk, usage=usage, obfuscation=obfuscation)
    return b"data: " + _encode(sent) + b"\n\n"


def server_sent_error(body: dict[str, Any]) -> bytes:
    """An error in the middle of a stream, the last thing in it."""
    return b"data: " + _encode(body) + b"\n\n"


def _padding() -> str:
    """Random text of random length, so that packet sizes don't give the answer away."""
    return "".join(random.choices(_PADDING, k=random.randint(0, _MAX_PADDING)))


class Fold:
    """The completion that the chunks of a whole answer add up to."""

    def __init__(self) -> None:
        self._choices: dict[int, _FoldedChoice] = {}
        self._last: Chunk | None = None

    def add(self, chunk: Chunk) -> None:
        """Take the next chunk in."""
        for part in chunk.choices:
            self._choices.setdefault(part.index, _FoldedChoice()).add(part)
        self._last = chunk

    def completion(self, metadata: dict[str, str] | UnsetType = UNSET) -> ChatCompletion:
        """The whole, once the chunk with the usage is in."""
        last = self._last
        assert last is not None
        assert isinstance(last.usage, Usage)
        return ChatCompletion(
            id=last.id,
            created=last.created,
            model=last.model,
            choices=[self._choices[index].choice(index) for index in sorted(self._choices)],
            usage=last.usage,
            system_fingerprint=last.system_fingerprint,
            metadata=metadata,
        )


class _FoldedChoice:
    """One choice in the making."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._logprobs: list[TokenLogprob] = []
        self._has_logprobs = False
        self._finish_reason: Any = None

    def add(self, part: ChunkChoice) -> None:
        if part.delta.content:
            self._texts.append(part.delta.content)
        if part.logprobs:
            self._has_logprobs = True
            self._logprobs += part.logprobs.content or []
        self._finish_reason = part.finish_reason

    def choice(self, index: int) -> Choice:
        return Choice(
            index=index,
            message=Message(content="".join(self._texts)),
            logprobs=Logprobs(content=self._logprobs) if self._has_logprobs else None,
            finish_reason=self._finish_reason,
        )
