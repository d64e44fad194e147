"""What an engine's replica sends to an edge: its name, its events, or the error that ends them."""

from __future__ import annotations

import msgspec

from minikin.engine.messages import Event
from minikin.errors import (
    Cancelled,
    EngineFailure,
    EngineLost,
    MinikinError,
    Overloaded,
    Quarantined,
    ShuttingDown,
)

_KINDS = {kind.__name__: kind for kind in (EngineFailure, EngineLost, Overloaded)}
"""Errors that are made of their message alone."""
_FIXED = {kind.__name__: kind for kind in (Cancelled, Quarantined, ShuttingDown)}


class Taken(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The first frame of an answer."""

    replica: str
    """The unique id of the replica that makes it."""


class Events(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The events that were there."""

    events: list[Event]


class Failed(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The error that ends the request."""

    kind: str
    message: str

    @classmethod
    def of(cls, error: MinikinError) -> Failed:
        """The frame of an error."""
        return cls(type(error).__name__, error.message)

    @property
    def error(self) -> MinikinError:
        """The same error at the edge."""
        if self.kind in _FIXED:
            return _FIXED[self.kind]()
        return _KINDS.get(self.kind, EngineFailure)(self.message)


Frame = Taken | Events | Failed

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Frame).decode
