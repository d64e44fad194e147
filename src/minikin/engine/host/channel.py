"""The message channel between the server and the engine process: msgpack frames on a socket."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

import msgspec

from minikin.bounded.frames import BadFrame, framed, read_frame, receive_frame
from minikin.config import EngineSettings
from minikin.engine.messages import Event, GenerationRequest, ModelInfo


class Load(msgspec.Struct, frozen=True, tag=True):
    """To the engine, once, first: load this model."""

    settings: EngineSettings


class Submit(msgspec.Struct, frozen=True, tag=True):
    """To the engine: work on this request."""

    request: GenerationRequest


class Cancel(msgspec.Struct, frozen=True, tag=True):
    """To the engine: nobody waits for this request any more."""

    request_id: str


class Loaded(msgspec.Struct, frozen=True, tag=True):
    """From the engine: the model answers."""

    info: ModelInfo


class LoadFailed(msgspec.Struct, frozen=True, tag=True):
    """From the engine: the model can't be loaded."""

    message: str


class Events(msgspec.Struct, frozen=True, tag=True):
    """From the engine: what one step brought."""

    events: list[Event]


Command = Load | Submit | Cancel
Report = Loaded | LoadFailed | Events

_encoder = msgspec.msgpack.Encoder(enc_hook=os.fspath)


def frame(message: Command | Report) -> bytes:
    """A message as it goes over the wire."""
    return framed(_encoder.encode(message))


class BlockingReader:
    """Reads commands in the engine process. Path-like values travel as text."""

    def __init__(self, connection: socket.socket) -> None:
        self._file = connection.makefile("rb")
        self._decoder = msgspec.msgpack.Decoder(Command, dec_hook=_decode_extra)

    def read(self) -> Command | None:
        """The next command; None when the server is gone."""
        body = read_frame(self._file)
        return None if body is None else self._decoder.decode(body)


class AsyncReader:
    """Reads reports in the server."""

    def __init__(self, stream: asyncio.StreamReader) -> None:
        self._stream = stream
        self._decoder = msgspec.msgpack.Decoder(Report)

    async def read(self) -> Report | None:
        """The next report; None when the engine is gone or talks nonsense."""
        try:
            return self._decoder.decode(await receive_frame(self._stream))
        except (asyncio.IncompleteReadError, BadFrame, ConnectionError, msgspec.DecodeError):
            return None


def _decode_extra(kind: type, value: Any) -> Any:
    return kind(value)
