"""The server-sent events of the Responses API.

After `type`, the keys of an event are in alphabetical order, as they were recorded.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

import msgspec
from msgspec import UNSET, UnsetType

from minikin.api.answer.wire import ErrorBody, TokenLogprob
from minikin.api.responses.wire import OutputItem, OutputText, ReasoningText, Response


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    pass


class _OfResponse(_Event, frozen=True, kw_only=True):
    response: Response
    sequence_number: int


class Created(_OfResponse, frozen=True, kw_only=True, tag="response.created"):
    """The first event."""


class Queued(_OfResponse, frozen=True, kw_only=True, tag="response.queued"):
    """A background response waits."""


class InProgress(_OfResponse, frozen=True, kw_only=True, tag="response.in_progress"):
    """The model begins."""


class Completed(_OfResponse, frozen=True, kw_only=True, tag="response.completed"):
    """The last event of a complete response."""


class Incomplete(_OfResponse, frozen=True, kw_only=True, tag="response.incomplete"):
    """The last event of a response that reached its limit."""


class Failed(_OfResponse, frozen=True, kw_only=True, tag="response.failed"):
    """The last event of a response that failed."""


class Cancelled(_OfResponse, frozen=True, kw_only=True, tag="response.cancelled"):
    """The last event of a response that was cancelled."""


class ErrorEvent(_Event, frozen=True, kw_only=True, tag="error"):
    """A failure after the stream began."""

    error: ErrorBody
    sequence_number: int


class _OfItem(_Event, frozen=True, kw_only=True):
    item: OutputItem
    output_index: int
    sequence_number: int


class OutputItemAdded(_OfItem, frozen=True, kw_only=True, tag="response.output_item.added"):
    """An item begins."""


class OutputItemDone(_OfItem, frozen=True, kw_only=True, tag="response.output_item.done"):
    """An item ends."""


class _OfPart(_Event, frozen=True, kw_only=True):
    content_index: int = 0
    item_id: str
    output_index: int
    part: OutputText | ReasoningText
    sequence_number: int


class ContentPartAdded(_OfPart, frozen=True, kw_only=True, tag="response.content_part.added"):
    """A part of a message begins."""


class ContentPartDone(_OfPart, frozen=True, kw_only=True, tag="response.content_part.done"):
    """A part of a message ends."""


class TextDelta(_Event, frozen=True, kw_only=True, tag="response.output_text.delta"):
    """More of a message's text."""

    content_index: int = 0
    delta: str
    item_id: str
    logprobs: list[TokenLogprob] = []
    obfuscation: str | UnsetType = UNSET
    output_index: int
    sequence_number: int


class TextDone(_Event, frozen=True, kw_only=True, tag="response.output_text.done"):
    """The whole text of a message."""

    content_index: int = 0
    item_id: str
    logprobs: list[TokenLogprob] = []
    output_index: int
    sequence_number: int
    text: str


class ReasoningDelta(_Event, frozen=True, kw_only=True, tag="response.reasoning_text.delta"):
    """More of the reasoning."""

    content_index: int = 0
    delta: str
    item_id: str
    obfuscation: str | UnsetType = UNSET
    output_index: int
    sequence_number: int


class ReasoningDone(_Event, frozen=True, kw_only=True, tag="response.reasoning_text.done"):
    """The whole reasoning."""

    content_index: int = 0
    item_id: str
    output_index: int
    sequence_number: int
    text: str


class _OfCall(_Event, frozen=True, kw_only=True):
    delta: str
    item_id: str
    obfuscation: str | UnsetType = UNSET
    output_index: int
    sequence_number: int


class ArgumentsDelta(
    _OfCall, frozen=True, kw_only=True, tag="response.function_call_arguments.delta"
):
    """More of a call's arguments."""


class ArgumentsDone(_Event, frozen=True, kw_only=True, tag="response.function_call_arguments.done"):
    """The whole arguments of a call."""

    arguments: str
    item_id: str
    output_index: int
    sequence_number: int


class InputDelta(_OfCall, frozen=True, kw_only=True, tag="response.custom_tool_call_input.delta"):
    """More of the input of a custom tool."""


class InputDone(_Event, frozen=True, kw_only=True, tag="response.custom_tool_call_input.done"):
    """The whole input of a custom tool."""

    input: str
    item_id: str
    output_index: int
    sequence_number: int


ResponseEvent = (
    Created
    | Queued
    | InProgress
    | Completed
    | Incomplete
    | Failed
    | Cancelled
    | ErrorEvent
    | OutputItemAdded
    | OutputItemDone
    | ContentPartAdded
    | ContentPartDone
    | TextDelta
    | TextDone
    | ReasoningDelta
    | ReasoningDone
    | ArgumentsDelta
    | ArgumentsDone
    | InputDelta
    | InputDone
)
LAST = (Completed, Incomplete, Failed, Cancelled)
"""After one of these, a response has no more events."""
_encode = msgspec.json.Encoder().encode


def server_sent(event: ResponseEvent) -> bytes:
    """The event as it is sent."""
    name = event.__struct_config__.tag
    return b"event: %s\ndata: %s\n\n" % (str(name).encode(), _encode(event))


async def without_padding(
    events: AsyncIterator[ResponseEvent],
) -> AsyncGenerator[ResponseEvent, None]:
    """The events without the random text in their deltas."""
    async for event in events:
        if isinstance(event, TextDelta | ReasoningDelta | ArgumentsDelta | InputDelta):
            event = msgspec.structs.replace(event, obfuscation=UNSET)
        yield event
