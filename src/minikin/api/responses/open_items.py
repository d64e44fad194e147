"""Output items while they grow, and the events of their growth."""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Iterator

import msgspec
from msgspec import UNSET, UnsetType

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
    """Where an item is in its response."""

    id: str
    output_index: int
    number: Callable[[], int]
    """Returns the next sequence number."""
    padded: bool

    def added(self, item: OutputItem) -> OutputItemAdded:
        """The event at the item's start."""
        return OutputItemAdded(
            item=item, output_index=self.output_index, sequence_number=self.number()
        )

    def done(self, item: OutputItem) -> OutputItemDone:
        """The event at the item's end."""
        return OutputItemDone(
            item=item, output_index=self.output_index, sequence_number=self.number()
        )

    def padding(self, delta: str) -> str | UnsetType:
        """Random text, so that packet sizes reveal less of the answer."""
        if not self.padded:
            return UNSET
        return "".join(random.choices(_PADDING, k=-len(delta) % PADDED_TO))


class OpenMessage:
    """A message."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._texts: list[str] = []
        self._logprobs: list[TokenLogprob] = []

    def begin(self) -> Iterator[ResponseEvent]:
        """The events at its start."""
        place = self._place
        yield place.added(MessageItem(id=place.id, status="in_progress", content=[]))
        yield ContentPartAdded(
            item_id=place.id,
            output_index=place.output_index,
            part=OutputText(text=""),
            sequence_number=place.number(),
        )

    def add(self, words: Words) -> Iterator[ResponseEvent]:
        """More of its text."""
        if not words.text and not words.entries:
            return
        logprobs = list(map(token_logprob, words.entries))
        self._texts.append(words.text)
        self._logprobs += logprobs
        yield TextDelta(
            delta=words.text,
            item_id=self._place.id,
            logprobs=logprobs,
            obfuscation=self._place.padding(words.text),
            output_index=self._place.output_index,
            sequence_number=self._place.number(),
        )

    def end(self, status: ItemStatus) -> Iterator[ResponseEvent]:
        """The events at its end."""
        place, text = self._place, "".join(self._texts)
        yield TextDone(
            item_id=place.id,
            logprobs=self._logprobs,
            output_index=place.output_index,
            sequence_number=place.number(),
            text=text,
        )
        yield ContentPartDone(
            item_id=place.id,
            output_index=place.output_index,
            part=OutputText(text=text),
            sequence_number=place.number(),
        )
        yield place.done(self.item(status))

    def item(self, status: ItemStatus) -> MessageItem:
        """The message so far."""
        part = OutputText(text="".join(self._texts), logprobs=list(map(_rounded, self._logprobs)))
        return MessageItem(id=self._place.id, status=status, content=[part])


class OpenReasoning:
    """The model's reasoning."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._texts: list[str] = []

    def begin(self) -> Iterator[ResponseEvent]:
        """The events at its start."""
        place = self._place
        yield place.added(ReasoningItem(id=place.id, status="in_progress", content=[]))
        yield ContentPartAdded(
            item_id=place.id,
            output_index=place.output_index,
            part=ReasoningText(text=""),
            sequence_number=place.number(),
        )

    def add(self, text: str) -> Iterator[ResponseEvent]:
        """More of its text."""
        self._texts.append(text)
        yield ReasoningDelta(
            delta=text,
            item_id=self._place.id,
            obfuscation=self._place.padding(text),
            output_index=self._place.output_index,
            sequence_number=self._place.number(),
        )

    def end(self, status: ItemStatus) -> Iterator[ResponseEvent]:
        """The events at its end."""
        place, text = self._place, "".join(self._texts)
        yield ReasoningDone(
            item_id=place.id,
            output_index=place.output_index,
            sequence_number=place.number(),
            text=text,
        )
        yield ContentPartDone(
            item_id=place.id,
            output_index=place.output_index,
            part=ReasoningText(text=text),
            sequence_number=place.number(),
        )
        yield place.done(self.item(status))

    def item(self, status: ItemStatus) -> ReasoningItem:
        """The reasoning so far."""
        content = [ReasoningText(text="".join(self._texts))]
        return ReasoningItem(id=self._place.id, status=status, content=content)


class OpenCall:
    """A call of a function."""

    def __init__(self, place: Place, call: Call) -> None:
        self._place = place
        self._call = call
        self._arguments: list[str] = []

    def begin(self) -> Iterator[ResponseEvent]:
        """The event at its start."""
        yield self._place.added(self.item("in_progress"))

    def add(self, text: str) -> Iterator[ResponseEvent]:
        """More of its arguments."""
        self._arguments.append(text)
        yield ArgumentsDelta(
            delta=text,
            item_id=self._place.id,
            obfuscation=self._place.padding(text),
            output_index=self._place.output_index,
            sequence_number=self._place.number(),
        )

    def end(self, status: ItemStatus) -> Iterator[ResponseEvent]:
        """The events at its end."""
        yield ArgumentsDone(
            arguments="".join(self._arguments),
            item_id=self._place.id,
            output_index=self._place.output_index,
            sequence_number=self._place.number(),
        )
        yield self._place.done(self.item(status))

    def item(self, status: ItemStatus) -> FunctionCallItem:
        """The call so far."""
        return FunctionCallItem(
            id=self._place.id,
            status=status,
            arguments="".join(self._arguments),
            call_id=self._call.id,
            name=self._call.name,
        )


class OpenCustomCall:
    """A call of a custom tool. Its input is read out of the arguments of a function."""

    def __init__(self, place: Place, call: Call) -> None:
        self._place = place
        self._call = call
        self._reader = InputReader()
        self._input: list[str] = []

    def begin(self) -> Iterator[ResponseEvent]:
        """The event at its start."""
        yield self._place.added(self.item("in_progress"))

    def add(self, arguments: str) -> Iterator[ResponseEvent]:
        """More of its input."""
        if not (text := self._reader.feed(arguments)):
            return
        self._input.append(text)
        yield InputDelta(
            delta=text,
            item_id=self._place.id,
            obfuscation=self._place.padding(text),
            output_index=self._place.output_index,
            sequence_number=self._place.number(),
        )

    def end(self, status: ItemStatus) -> Iterator[ResponseEvent]:
        """The events at its end."""
        yield InputDone(
            input="".join(self._input),
            item_id=self._place.id,
            output_index=self._place.output_index,
            sequence_number=self._place.number(),
        )
        yield self._place.done(self.item(status))

    def item(self, status: ItemStatus) -> CustomToolCallItem:
        """The call so far."""
        return CustomToolCallItem(
            id=self._place.id,
            status=status,
            call_id=self._call.id,
            input="".join(self._input),
            name=self._call.name,
        )


OpenItem = OpenMessage | OpenReasoning | OpenCall | OpenCustomCall


def _rounded(entry: TokenLogprob) -> TokenLogprob:
    top = [
        msgspec.structs.replace(other, logprob=round(other.logprob, DECIMALS))
        for other in entry.top_logprobs
    ]
    return msgspec.structs.replace(entry, logprob=round(entry.logprob, DECIMALS), top_logprobs=top)
