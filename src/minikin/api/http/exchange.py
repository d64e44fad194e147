"""One request and its answer on a connection: what uvicorn's own cycle leaves out of HTTP."""

from __future__ import annotations

from typing import Any

from starlette.types import ASGIApp, Message
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

BEGINNING = b"HTTP/1.1 "
"""Of every answer."""


class Exchange:
    """The application `app`, as `cycle` calls it.

    An HTTP/1.0 client gets its stream unchunked, up to the end of the connection. A body that the
    client offered (`Expect: 100-continue`) and nobody asked for may follow or not, so the
    connection ends there.
    """

    def __init__(self, cycle: RequestResponseCycle, app: ASGIApp, *, input_ended: bool) -> None:
        self._cycle = cycle
        self._app = app
        self._input_ended = input_ended
        self._early = 0
        """Bytes of BEGINNING that are written."""
        self._answering = False
        self.closes = False
        """Whether the client knows from the answer's head that the connection ends after it."""

    @property
    def is_over(self) -> bool:
        """Whether the answer is complete."""
        return self._cycle.response_complete

    @property
    def is_answering(self) -> bool:
        """Whether the answer's head is written, or is about to be."""
        return self._answering

    def abandon(self) -> None:
        """The client is gone: nothing more is written, and the application learns it."""
        if not self.is_over:
            self._cycle.disconnected = True
        self._cycle.message_event.set()

    def end_input(self) -> None:
        """Nothing more comes in; a body that is not complete will never be."""
        self._input_ended = True
        self._cycle.message_event.set()

    def begin_early(self) -> None:
        """Write one more byte of what every answer begins with, if there is one."""
        if not self._answering and self._early < len(BEGINNING):
            self._cycle.transport.write(BEGINNING[self._early : self._early + 1])
            self._early += 1

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Run the application; uvicorn's own types of ASGI and starlette's don't match."""
        if self._is_old:
            self._cycle.chunked_encoding = False
            self._cycle.waiting_for_100_continue = False
        await self._app(scope, self._receive, self._send)

    @property
    def _is_old(self) -> bool:
        return self._cycle.scope["http_version"] == "1.0"

    async def _receive(self) -> Message:
        message: Any = await self._cycle.receive()
        if self._input_ended and message.get("more_body"):
            return {"type": "http.disconnect"}
        return message

    async def _send(self, message: Any) -> None:
        cycle = self._cycle
        if message["type"] == "http.response.start":
            await self._start(message)
            return
        if self._is_old:
            cycle.expected_content_length = len(message.get("body", b""))
        await cycle.send(message)

    async def _start(self, message: Any) -> None:
        cycle = self._cycle
        self._answering = True
        if cycle.waiting_for_100_continue:
            cycle.keep_alive = False
        if self._early:
            cycle.transport = _Remainder(cycle.transport, self._early)  # pyright: ignore
        await cycle.send(message)
        self.closes = not cycle.keep_alive
        cycle.keep_alive = True  # the connection closes itself


class _Remainder:
    """A transport to which the first `skip` bytes are written already."""

    def __init__(self, transport: Any, skip: int) -> None:
        self._transport = transport
        self._skip = skip
        self.is_closing = transport.is_closing
        self.close = transport.close

    def write(self, data: bytes) -> None:
        self._transport.write(data[self._skip :])
        self._skip = 0
