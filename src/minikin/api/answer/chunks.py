"""Turns engine events into chunks, and chunks into a complete answer.

Streaming is the only path: an answer without `stream` is the fold of its chunks.
"""

from __future__ import annotations

import random
import string
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from minikin.api.answer.choice_stream import ChoiceStream
from minikin.api.answer.identifiers import reported_model
from minikin.api.answer.prepared import Prepared
from minikin.api.answer.wire import (
    ChatCompletion,
    Choice,
    Chunk,
    ChunkChoice,
    CompletionTokensDetails,
    FunctionCall,
    FunctionDelta,
    Logprobs,
    Message,
    PromptTokensDetails,
    TokenLogprob,
    ToolCall,
    Usage,
)
from minikin.api.request.translate import ChatRequest
from minikin.engine.messages import ChoiceUsage, Event

_MAX_PADDING = 15
"""Maximum characters of obfuscation, from recorded answers."""
_NOISE = "".join(random.choices(string.ascii_letters + string.digits, k=4_096))
"""Obfuscation is a part of it: to draw each of its characters anew takes five times as long."""
_encode = msgspec.json.Encoder().encode
LEAST_CACHED, CACHED_STEP = 1_024, 128
"""Fewer cached tokens are not reported. More are reported in such steps."""
ENTRY_BYTES = 100
"""About the bytes of one log probability as JSON."""

DONE = b"data: [DONE]\n\n"


class ChunkMaker:
    """Makes the chunks of one request from the events of all its choices."""

    def __init__(self, request: ChatRequest, prepared: Prepared, *, fingerprint: str) -> None:
        generation = prepared.generation
        self._prompt_tokens = len(generation.prompt)
        self._with_logprobs = generation.params.top_logprobs is not None
        self._prepared = prepared
        self._legacy = request.legacy_calls
        self._streams: dict[int, ChoiceStream] = {}
        self._usages: list[ChoiceUsage] = []
        self._common: dict[str, Any] = {
            "id": generation.id,
            "created": int(time.time()),
            "model": reported_model(request.model),
            "system_fingerprint": fingerprint,
        }

    async def chunks(self, events: AsyncIterator[Event]) -> AsyncGenerator[Chunk, None]:
        """The chunks of `events`. The last one has no choice, only the usage."""
        async for event in events:
            if event.usage:
                self._usages.append(event.usage)
            for choice in self._stream(event.index).take(event):
                yield Chunk(choices=[choice], **self._common)
        yield Chunk(choices=[], usage=self._usage(), **self._common)

    def _stream(self, index: int) -> ChoiceStream:
        if index not in self._streams:
            self._streams[index] = ChoiceStream(
                index,
                self._prepared.reader(),
                named=self._prepared.form.named,
                legacy=self._legacy,
                with_logprobs=self._with_logprobs,
            )
        return self._streams[index]

    def _usage(self) -> Usage:
        completion = sum(usage.completion_tokens for usage in self._usages)
        return Usage(
            prompt_tokens=self._prompt_tokens,
            completion_tokens=completion,
            total_tokens=self._prompt_tokens + completion,
            prompt_tokens_details=PromptTokensDetails(
                # The first choice computes the new part of the prompt, and the others reuse it.
                cached_tokens=counted_cached(
                    min((u.cached_tokens for u in self._usages), default=0)
                )
            ),
            completion_tokens_details=CompletionTokensDetails(
                reasoning_tokens=sum(s.reasoning_tokens for s in self._streams.values()),
                accepted_prediction_tokens=sum(u.accepted_prediction_tokens for u in self._usages),
                rejected_prediction_tokens=sum(u.rejected_prediction_tokens for u in self._usages),
            ),
        )


def counted_cached(cached: int) -> int:
    """Cached tokens as OpenAI counts them (its caching guide)."""
    return cached // CACHED_STEP * CACHED_STEP if cached >= LEAST_CACHED else 0


def server_sent(chunk: Chunk, request: ChatRequest) -> bytes | None:
    """The chunk as a server-sent event, according to the request's stream options."""
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
    """An error in a stream. It is the last event."""
    return b"data: " + _encode(body) + b"\n\n"


def _padding() -> str:
    """Random text of random length, so that packet sizes do not reveal the answer."""
    at = int(random.random() * (len(_NOISE) - _MAX_PADDING))
    return _NOISE[at : at + int(random.random() * (_MAX_PADDING + 1))]


class Fold:
    """Folds the chunks of an answer into one completion."""

    def __init__(self) -> None:
        self._choices: dict[int, _FoldedChoice] = {}
        self._last: Chunk | None = None
        self.size = 0
        """About the bytes of the completion as JSON, without its text."""

    def add(self, chunk: Chunk) -> None:
        """Add the next chunk."""
        for part in chunk.choices:
            self._choices.setdefault(part.index, _FoldedChoice()).add(part)
            self.size += _size(part)
        self._last = chunk

    def completion(self, metadata: dict[str, str] | UnsetType = UNSET) -> ChatCompletion:
        """The completion, after the chunk with the usage is added."""
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


def in_parts(completion: ChatCompletion) -> ChatCompletion:
    """The same with each choice as JSON already, so that no single call encodes much."""
    return msgspec.structs.replace(completion, choices=encoded(completion.choices))


def encoded(choices: Iterable[Any]) -> list[Any]:
    """Each choice as JSON."""
    return [msgspec.Raw(_encode(choice)) for choice in choices]


def _size(part: ChunkChoice) -> int:
    entries = (part.logprobs.content if part.logprobs else None) or []
    return sum(ENTRY_BYTES * (1 + len(entry.top_logprobs)) for entry in entries)


class _FoldedChoice:
    """One unfinished choice."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._logprobs: list[TokenLogprob] = []
        self._has_logprobs = False
        self._calls: dict[int, _FoldedCall] = {}
        self._legacy: _FoldedCall | None = None
        self._finish_reason: Any = None

    def add(self, part: ChunkChoice) -> None:
        if part.delta.content:
            self._texts.append(part.delta.content)
        if part.delta.reasoning_content:
            self._thoughts.append(part.delta.reasoning_content)
        for call in part.delta.tool_calls or ():
            self._calls.setdefault(call.index, _FoldedCall(call.id)).add(call.function)
        if part.delta.function_call:
            self._legacy = self._legacy or _FoldedCall()
            self._legacy.add(part.delta.function_call)
        if part.logprobs:
            self._has_logprobs = True
            self._logprobs += part.logprobs.content or []
        self._finish_reason = part.finish_reason

    def choice(self, index: int) -> Choice:
        called = self._calls or self._legacy
        return Choice(
            index=index,
            message=Message(
                content="".join(self._texts) if self._texts or not called else None,
                reasoning_content="".join(self._thoughts) or UNSET,
                tool_calls=[self._calls[at].call() for at in sorted(self._calls)] or UNSET,
                function_call=self._legacy.function() if self._legacy else UNSET,
            ),
            logprobs=Logprobs(content=self._logprobs) if self._has_logprobs else None,
            finish_reason=self._finish_reason,
        )


class _FoldedCall:
    """One unfinished call."""

    def __init__(self, call_id: str | UnsetType = UNSET) -> None:
        self._id = call_id
        self._name = ""
        self._arguments: list[str] = []

    def add(self, delta: FunctionDelta) -> None:
        if delta.name:
            self._name = delta.name
        self._arguments.append(delta.arguments)

    def function(self) -> FunctionCall:
        return FunctionCall(self._name, "".join(self._arguments))

    def call(self) -> ToolCall:
        assert self._id
        return ToolCall(self._id, self.function())
