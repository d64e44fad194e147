"""One request and its answer on a connection. It adds what uvicorn's own cycle lacks."""

from __future__ import annotations

from typing import Any

from starlette.types import ASGIApp, Message
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

BEGINNING = b"HTTP/1.1 "
"""The first bytes of every answer."""
_JOINED = 65_536
"""The maximum bytes of a body that is copied to be sent in one piece with its head."""


class Exchange:
    """The application `app`, as `cycle` calls it.

    An HTTP/1.0 client gets a stream without chunks that ends with the connection. If a client
    offered a body (`Expect: 100-continue`) and the server did not request it, the body can follow
    or not. Therefore the connection ends after the answer.
    """

    def __init__(self, cycle: RequestResponseCycle, app: ASGIApp, *, input_ended: bool) -> None:
        self._cycle = cycle
        self._app = app
        self._input_ended = input_ended
        self._early = 0
        """The number of written bytes of BEGINNING."""
        self._answering = False
        self.closes = False
        """Whether the head of the answer says that the connection ends after it."""

    @property
    def is_over(self) -> bool:
        """Whether the answer is complete."""
        return self._cycle.response_complete

    @property
    def is_answering(self) -> bool:
        """Whether the head of the answer is written, or is about to be."""
        return self._answering

    def abandon(self) -> None:
        """Report to the application that the client disconnected. Nothing more is written."""
        if not self.is_over:
            self._cycle.disconnected = True
        self._cycle.message_event.set()

    def end_input(self) -> None:
        """Report the end of the input. An incomplete body stays incomplete."""
        self._input_ended = True
        self._cycle.message_event.set()

    def begin_early(self) -> None:
        """Write one more byte of BEGINNING, if any is left."""
        if not self._answering and self._early < len(BEGINNING):
            self._cycle.transport.write(BEGINNING[self._early : self._early + 1])
            self._early += 1

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Run the application. The ASGI types of uvicorn and starlette do not match."""
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
        if _has_length(message) and cycle.scope["method"] != "HEAD":
            cycle.transport = _Joining(cycle.transport)  # pyright: ignore
        await cycle.send(message)
        self.closes = not cycle.keep_alive
        cycle.keep_alive = True  # the connection closes itself


def _has_length(start: Any) -> bool:
    return any(name == b"content-length" for name, _ in start.get("headers", ()))


class _Joining:
    """A transport that sends the head of an answer together with the beginning of its body.

    Two writes would wake both processes twice.
    """

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._head: bytes | None = None
        self.is_closing = transport.is_closing
        self.close = transport.close

    def write(self, data: bytes) -> None:
        head, write = self._head, self._transport.write
        if head is None:
            self._head = data
            return
        self._head = b""
        if len(data) > _JOINED:
            write(head)
            write(data)
        elif head or data:
            write(head + data)


class _Remainder:
    """A transport whose first `skip` bytes are already written."""

    def __init__(self, transport: Any, skip: int) -> None:
        self._transport = transport
        self._skip = skip
        self.is_closing = transport.is_closing
        self.close = transport.close

    def write(self, data: bytes) -> None:
        self._transport.write(data[self._skip :])
        self._skip = 0
