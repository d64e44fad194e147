"""Turns the engine's events into those of a response. A plain answer is the fold of its events."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from minikin.api.answer.answer_reader import Call, End, Part, Words
from minikin.api.answer.chunks import counted_cached
from minikin.api.answer.identifiers import ResponseIds, reported_model
from minikin.api.answer.prepared import Prepared
from minikin.api.answer.wire import ErrorBody
from minikin.api.responses.events import (
    Cancelled,
    Completed,
    Created,
    ErrorEvent,
    Failed,
    Incomplete,
    InProgress,
    Queued,
    ResponseEvent,
)
from minikin.api.responses.open_items import (
    OpenCall,
    OpenCustomCall,
    OpenItem,
    OpenMessage,
    OpenReasoning,
    Place,
)
from minikin.api.responses.translate import ResponseRequest
from minikin.api.responses.wire import (
    Conversation,
    IncompleteDetails,
    InputTokensDetails,
    ItemStatus,
    OutputItem,
    OutputTokensDetails,
    Response,
    ResponseError,
    ResponseUsage,
)
from minikin.chat.thoughts import Thought
from minikin.chat.tool_calls import Arguments
from minikin.engine.messages import ChoiceUsage, Event, FinishReason
from minikin.errors import MinikinError


class ResponseMaker:
    """Makes the events of one response, with its object at each moment in `response`."""

    def __init__(self, request: ResponseRequest, ids: ResponseIds) -> None:
        self._request = request
        self._ids = ids
        self._numbers = iter(range(2**62))
        self._done: list[OutputItem] = []
        self._open: OpenItem | None = None
        self.failure: MinikinError | None = None
        self._blank: list[Words] = []
        """White space that no message has yet."""
        self.response = Response(
            id=ids.response,
            created_at=ids.created,
            status="queued" if request.background else "in_progress",
            model=reported_model(request.model),
            conversation=Conversation(request.conversation) if request.conversation else UNSET,
            **request.settings,
        )

    @property
    def ended(self) -> bool:
        """Whether the response has its last status."""
        return self.response.status not in ("queued", "in_progress")

    def begin(self) -> Iterator[ResponseEvent]:
        """The events before the engine's."""
        yield Created(response=self.response, sequence_number=self._number())
        if self._request.background:
            yield Queued(response=self.response, sequence_number=self._number())

    async def events(
        self, prepared: Prepared, events: AsyncIterator[Event]
    ) -> AsyncGenerator[ResponseEvent, None]:
        """The events of a response, from the engine's.

        Raises MinikinError for an error before the first one, so that it becomes an HTTP error.
        """
        reader, begun = prepared.reader(), False
        try:
            async for event in events:
                if not begun:
                    begun = True
                    for made in self._start():
                        yield made
                for part in reader.take(event):
                    for made in self._take(part):
                        yield made
                if event.finish_reason:
                    prompt = len(prepared.generation.prompt)
                    usage = _usage(prompt, event.usage, reader.reasoning_tokens)
                    yield self._finish(event.finish_reason, usage)
        except MinikinError as error:
            if not begun:
                raise
            for made in self.fail(error):
                yield made

    def fail(self, error: MinikinError) -> Iterator[ResponseEvent]:
        """The events after an error."""
        self.failure = error
        body = msgspec.convert(error.body()["error"], ErrorBody)
        yield ErrorEvent(error=body, sequence_number=self._number())
        self.response = replace(
            self.response,
            status="failed",
            error=ResponseError("server_error", error.message),
            output=self._output("incomplete"),
            service_tier="default",
        )
        yield Failed(response=self.response, sequence_number=self._number())

    def cancel(self) -> Cancelled:
        """The event of a cancellation. The response has the output so far."""
        self.response = replace(
            self.response,
            status="cancelled",
            output=self._output("incomplete"),
            service_tier="default",
        )
        return Cancelled(response=self.response, sequence_number=self._number())

    def _start(self) -> Iterator[ResponseEvent]:
        if not self._request.background:
            yield from self.begin()
        self.response = replace(self.response, status="in_progress")
        yield InProgress(response=self.response, sequence_number=self._number())

    def _take(self, part: Part) -> Iterator[ResponseEvent]:
        match part:
            case Thought(text):
                if not isinstance(self._open, OpenReasoning):
                    yield from self._next(OpenReasoning(self._place("rs")))
                assert isinstance(self._open, OpenReasoning)
                yield from self._open.add(text)
            case Words():
                yield from self._words(part)
            case Call():
                self._blank.clear()
                yield from self._next(self._call(part))
            case Arguments(json):
                assert isinstance(self._open, OpenCall)
                yield from self._open.add(json)
            case End(reason):
                if not self._open:
                    yield from self._message()
                yield from self._close("incomplete" if reason == "length" else "completed")

    def _call(self, call: Call) -> OpenItem:
        if call.name in self._request.custom_tools:
            raw = call.name in self._request.raw_tools
            return OpenCustomCall(self._place("ctc"), call, raw=raw)
        return OpenCall(self._place("fc"), call)

    def _words(self, words: Words) -> Iterator[ResponseEvent]:
        """Text. White space opens no message of its own, for example before a call."""
        if isinstance(self._open, OpenMessage):
            yield from self._open.add(words)
            return
        self._blank.append(words)
        if words.text.strip():
            yield from self._message()

    def _message(self) -> Iterator[ResponseEvent]:
        message = OpenMessage(self._place("msg"))
        yield from self._next(message)
        for words in self._blank:
            yield from message.add(words)
        self._blank.clear()

    def _next(self, item: OpenItem) -> Iterator[ResponseEvent]:
        yield from self._close("completed")
        self._open = item
        yield from item.begin()

    def _close(self, status: ItemStatus) -> Iterator[ResponseEvent]:
        if self._open:
            yield from self._open.end(status)
            self._done.append(self._open.item(status))
            self._open = None

    def _finish(self, reason: FinishReason, usage: ResponseUsage) -> ResponseEvent:
        common = {"output": [*self._done], "usage": usage, "service_tier": "default"}
        if reason == "length":
            details = IncompleteDetails("max_output_tokens")
            self.response = replace(
                self.response, status="incomplete", incomplete_details=details, **common
            )
            return Incomplete(response=self.response, sequence_number=self._number())
        self.response = replace(
            self.response, status="completed", completed_at=int(time.time()), **common
        )
        return Completed(response=self.response, sequence_number=self._number())

    def _output(self, status: ItemStatus) -> list[OutputItem]:
        """The items so far. The last one has this status if it is not complete."""
        return [*self._done, *([self._open.item(status)] if self._open else [])]

    def _place(self, prefix: str) -> Place:
        index = len(self._done) + (self._open is not None)
        return Place(self._ids.item(prefix), index, self._number, self._request.include_obfuscation)

    def _number(self) -> int:
        return next(self._numbers)


def _usage(prompt: int, usage: ChoiceUsage | None, reasoning: int) -> ResponseUsage:
    assert usage
    return ResponseUsage(
        input_tokens=prompt,
        input_tokens_details=InputTokensDetails(counted_cached(usage.cached_tokens)),
        output_tokens=usage.completion_tokens,
        output_tokens_details=OutputTokensDetails(reasoning),
        total_tokens=prompt + usage.completion_tokens,
    )
