"""Output items while they grow, and the events of their growth."""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import msgspec
from msgspec import UNSET

from minikin.api.answer.answer_reader import Call, Words
from minikin.api.answer.choice_stream import token_logprob
from minikin.api.answer.wire import TokenLogprob
from minikin.api.responses.custom_tools import InputReader
from minikin.api.responses.events import (
    ArgumentsDelta,
    ArgumentsDone,
    ContentPartAdded,
    ContentPartDone,
    InputDelta,
    InputDone,
    OutputItemAdded,
    OutputItemDone,
    ReasoningDelta,
    ReasoningDone,
    ResponseEvent,
    TextDelta,
    TextDone,
)
from minikin.api.responses.wire import (
    CustomToolCallItem,
    FunctionCallItem,
    ItemStatus,
    MessageItem,
    OutputItem,
    OutputText,
    ReasoningItem,
    ReasoningText,
)

PADDED_TO = 16
"""Characters. A delta and its padding together have a multiple of this length."""
DECIMALS = 6
"""Of log probabilities in an item. Events have all digits."""
_PADDING = string.ascii_letters + string.digits


class Place(msgspec.Struct, frozen=True):
    """Where an item is in its response, and the fields that its events share."""

    id: str
    output_index: int
    number: Callable[[], int]
    """Returns the next sequence number."""
    padded: bool

    def of_item(self, kind: Callable[..., ResponseEvent], item: OutputItem) -> ResponseEvent:
        """The event at the item's start or end."""
        return kind(item=item, output_index=self.output_index, sequence_number=self.number())

    def event(self, kind: Callable[..., ResponseEvent], **fields: Any) -> ResponseEvent:
        """An event between the two."""
        return kind(
            item_id=self.id,
            output_index=self.output_index,
            sequence_number=self.number(),
            **fields,
        )

    def delta(self, kind: Callable[..., ResponseEvent], text: str, **fields: Any) -> ResponseEvent:
        """More text of the item, with random text that makes its length reveal less."""
        padding = UNSET
        if self.padded:
            padding = "".join(random.choices(_PADDING, k=-len(text) % PADDED_TO))
        return self.event(kind, delta=text, obfuscation=padding, **fields)


class OpenItem(Protocol):
    """An item that grows."""

    def begin(self) -> Iterator[ResponseEvent]:
        """The events at its start."""
        ...

    def end(self, status: ItemStatus) -> Iterator[ResponseEvent]:
        """The events at its end."""
        ...

    def item(self, status: ItemStatus) -> OutputItem:
        """The item so far."""
        ...


class OpenMessage:
    """A message."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._texts: list[str] = []
        self._logprobs: list[TokenLogprob] = []

    def begin(self) -> Iterator[ResponseEvent]:
        """See OpenItem."""
        item = MessageItem(id=self._place.id, status="in_progress", content=[])
        yield self._place.of_item(OutputItemAdded, item)
        yield self._place.event(ContentPartAdded, part=OutputText(text=""))

    def add(self, words: Words) -> Iterator[ResponseEvent]:
        """More of its text."""
        if words.text or words.entries:
            logprobs = list(map(token_logprob, words.entries))
            self._texts.append(words.text)
            self._logprobs += logprobs
            yield self._place.delta(TextDelta, words.text, logprobs=logprobs)

    def end(self, status: ItemStatus) -> Iterator[ResponseEvent]:
        """See OpenItem."""
        text = "".join(self._texts)
        yield self._place.event(TextDone, logprobs=self._logprobs, text=text)
        yield self._place.event(ContentPartDone, part=OutputText(text=text))
        yield self._place.of_item(OutputItemDone, self.item(status))

    def item(self, status: ItemStatus) -> MessageItem:
        """See OpenItem."""
        part = OutputText(text="".join(self._texts), logprobs=list(map(_rounded, self._logprobs)))
        return MessageItem(id=self._place.id, status=status, content=[part])


class OpenReasoning:
    """The model's reasoning."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._texts: list[str] = []

    def begin(self) -> Iterator[ResponseEvent]:
        """See OpenItem."""
        item = ReasoningItem(id=self._place.id, status="in_progress", content=[])
        yield self._place.of_item(OutputItemAdded, item)
        yield self._place.event(ContentPartAdded, part=ReasoningText(text=""))

    def add(self, text: str) -> Iterator[ResponseEvent]:
        """More of its text."""
        self._texts.append(text)
        yield self._place.delta(ReasoningDelta, text)

    def end(self, status: ItemStatus) -> Iterator[ResponseEvent]:
        """See OpenItem."""
        text = "".join(self._texts)
        yield self._place.event(ReasoningDone, text=text)
        yield self._place.event(ContentPartDone, part=ReasoningText(text=text))
        yield self._place.of_item(OutputItemDone, self.item(status))

    def item(self, status: ItemStatus) -> ReasoningItem:
        """See OpenItem."""
        content = [ReasoningText(text="".join(self._texts))]
        return ReasoningItem(id=self._place.id, status=status, content=content)


class OpenCall:
    """A call of a function."""

    def __init__(self, place: Place, call: Call) -> None:
        self._place = place
        self._call = call
        self._texts: list[str] = []

    def begin(self) -> Iterator[ResponseEvent]:
        """See OpenItem."""
        yield self._place.of_item(OutputItemAdded, self.item("in_progress"))

    def add(self, arguments: str) -> Iterator[ResponseEvent]:
        """More of its arguments."""
        self._texts.append(arguments)
        yield self._place.delta(ArgumentsDelta, arguments)

    def end(self, status: ItemStatus) -> Iterator[ResponseEvent]:
        """See OpenItem."""
        yield self._place.event(ArgumentsDone, arguments="".join(self._texts))
        yield self._place.of_item(OutputItemDone, self.item(status))

    def item(self, status: ItemStatus) -> OutputItem:
        """See OpenItem."""
        return FunctionCallItem(
            id=self._place.id,
            status=status,
            arguments="".join(self._texts),
            call_id=self._call.id,
            name=self._call.name,
        )


class OpenCustomCall(OpenCall):
    """A call of a custom tool. Its input is read out of the arguments of a function."""

    def __init__(self, place: Place, call: Call, *, raw: bool) -> None:
        """For a `raw` input see InputReader."""
        super().__init__(place, call)
        self._reader = InputReader(raw=raw)

    def add(self, arguments: str) -> Iterator[ResponseEvent]:
        """More of its input, as arguments."""
        if text := self._reader.feed(arguments):
            self._texts.append(text)
            yield self._place.delta(InputDelta, text)

    def end(self, status: ItemStatus) -> Iterator[ResponseEvent]:
        """See OpenItem."""
        yield self._place.event(InputDone, input="".join(self._texts))
        yield self._place.of_item(OutputItemDone, self.item(status))

    def item(self, status: ItemStatus) -> OutputItem:
        """See OpenItem."""
        return CustomToolCallItem(
            id=self._place.id,
            status=status,
            call_id=self._call.id,
            input="".join(self._texts),
            name=self._call.name,
        )


def _rounded(entry: TokenLogprob) -> TokenLogprob:
    top = [
        msgspec.structs.replace(other, logprob=round(other.logprob, DECIMALS))
        for other in entry.top_logprobs
    ]
    return msgspec.structs.replace(entry, logprob=round(entry.logprob, DECIMALS), top_logprobs=top)
