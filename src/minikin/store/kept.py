"""What a server keeps, as structs.

They need no library of a database: its import takes as long as all others of a server.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Raw

encode = msgspec.json.encode

KEPT_SECONDS = 30 * 24 * 3600
"""How long responses and their items are kept. Items of a conversation do not expire."""

Order = Literal["asc", "desc"]
Item = dict[str, Any]
"""An item of input or output, as JSON. A stored item has an `id`."""
LineState = Literal["pending", "completed", "failed"]


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a list to return."""

    after: str | None = None
    """The id of the last entry on the previous page."""
    limit: int = 20
    order: Order = "desc"
    """`asc`: oldest first; `desc`: newest first."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a list as it is stored: it is sent without being decoded."""

    id: str
    body: Raw
    """JSON."""


class ListedCompletion(Entry, frozen=True, kw_only=True):
    """A stored completion without its messages.

    `body` is the completion as it was sent, with its settings, without `metadata`.
    """

    metadata: dict[str, str]

    @property
    def answer(self) -> Raw:
        """The completion with its metadata, as JSON."""
        return Raw(bytes(self.body)[:-1] + b',"metadata":' + encode(self.metadata) + b"}")


class StoredCompletion(ListedCompletion, frozen=True, kw_only=True):
    """One stored completion."""

    owner: str
    """The owner. Other owners cannot find it."""
    model: str
    messages: list[dict[str, Any]]
    """The conversation that it answers."""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which completions to list."""

    model: str | None = None
    metadata: dict[str, str] = {}
    """Pairs that a completion's metadata must contain."""


class StoredResponse(msgspec.Struct, frozen=True, kw_only=True):
    """One stored response."""

    id: str
    owner: str
    """The owner. Other owners cannot find it."""
    created_at: int
    expires_at: int
    body: dict[str, Any]
    """The response object as it was sent, with its output."""
    context: list[Item]
    """Every item before its output: those of earlier turns, then those of its input."""
    request: dict[str, Any] | None = None
    """What is needed to run it again after a restart. None if it has ended."""


class RunState(msgspec.Struct, frozen=True):
    """Where a response runs or has run."""

    runner: str | None
    runs: bool


class Events(msgspec.Struct, frozen=True, kw_only=True):
    """Successive events of one response."""

    response: str
    last: int
    """The sequence number of the last of them. No number is missing before it."""
    ends: bool
    """Whether the response has no more."""
    events: list[Any]
    """The events as they are sent."""


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """One conversation, without its items."""

    id: str
    owner: str
    """The owner. Other owners cannot find it."""
    created_at: int
    metadata: dict[str, str]


class StoredFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file, without its content."""

    id: str
    owner: str
    """The owner. Other owners cannot find it."""
    purpose: str
    filename: str
    bytes: int
    created_at: int
    expires_at: int | None


class StoredBatch(msgspec.Struct, frozen=True, kw_only=True):
    """One batch."""

    id: str
    owner: str
    """The owner. Other owners cannot find it."""
    ended: bool = False
    body: dict[str, Any]
    """The batch object as it is sent. The counts are right only when it has ended."""
    options: dict[str, Any] = {}
    """What the object does not show."""


class BatchLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the input file."""

    line: int
    """Its number, from 1."""
    request: bytes
    """The line as it is in the file."""
