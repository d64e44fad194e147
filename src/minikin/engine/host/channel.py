"""The message channel between the server and the engine process: msgpack frames on a socket."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

import msgspec

from minikin.bounded.frames import BadFrame, framed, read_frame, receive_frame
from minikin.config import EngineSettings
from minikin.engine.messages import EngineStats, Event, GenerationRequest, ModelInfo


class Load(msgspec.Struct, frozen=True, tag=True):
    """To the engine, the first message: load this model."""

    settings: EngineSettings


class Submit(msgspec.Struct, frozen=True, tag=True):
    """To the engine: run this request."""

    request: GenerationRequest


class Cancel(msgspec.Struct, frozen=True, tag=True):
    """To the engine: cancel this request."""

    request_id: str


class Loaded(msgspec.Struct, frozen=True, tag=True):
    """From the engine: the model is ready."""

    info: ModelInfo


class LoadFailed(msgspec.Struct, frozen=True, tag=True):
    """From the engine: the model cannot be loaded."""

    message: str


class Events(msgspec.Struct, frozen=True, tag=True):
    """From the engine: the events of one step."""

    events: list[Event]
    stats: EngineStats | None = None
    """A few times a second."""


Command = Load | Submit | Cancel
Report = Loaded | LoadFailed | Events

LAST_SECONDS = 2.0
"""How long the engine may store prompts after the server closed the socket."""

_encoder = msgspec.msgpack.Encoder(enc_hook=os.fspath)


def frame(message: Command | Report) -> bytes:
    """The bytes of a message."""
    return framed(_encoder.encode(message))


class BlockingReader:
    """Reads commands in the engine process. Paths are sent as text."""

    def __init__(self, connection: socket.socket) -> None:
        self._file = connection.makefile("rb")
        self._decoder = msgspec.msgpack.Decoder(Command, dec_hook=_decode_extra)

    def read(self) -> Command | None:
        """The next command. None if the server closed the socket, or ended with reports unread."""
        try:
            body = read_frame(self._file)
        except ConnectionError:
            return None
        return None if body is None else self._decoder.decode(body)


class AsyncReader:
    """Reads reports in the server."""

    def __init__(self, stream: asyncio.StreamReader) -> None:
        self._stream = stream
        self._decoder = msgspec.msgpack.Decoder(Report)

    async def read(self) -> Report | None:
        """The next report. None if the engine closed the socket or sent invalid data."""
        try:
            return self._decoder.decode(await receive_frame(self._stream))
        except (asyncio.IncompleteReadError, BadFrame, ConnectionError, msgspec.DecodeError):
            return None


def _decode_extra(kind: type, value: Any) -> Any:
    return kind(value)
