"""HTTP/1.1 on one connection, with bounds on the part before the body, which uvicorn lacks."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from minikin.api.http.headers import common_headers
from minikin.errors import InvalidRequest

MAX_HEAD_BYTES = 65_536
"""Request line and headers together."""
HEAD_SECONDS = 10.0
"""A client that takes longer to send them is cut off."""
_BROKEN = "The request is not valid HTTP/1.1."
_TOO_LARGE = f"The request's line and headers are over {MAX_HEAD_BYTES} bytes."
_TOO_SLOW = "The request's headers did not arrive in time."


class BoundedProtocol(HttpToolsProtocol):
    """Uvicorn's protocol; a head that is broken, too large or too slow ends the connection.

    What ends it is told in the same envelope as any other error.
    """

    _head_bytes: int | None = 0
    """Received of the current head; None while a body or an answer is under way."""
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """A client connected; its first request is due."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._forget_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes came in."""
        if self._head_bytes is not None:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes is not None and self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, _TOO_LARGE)

    def on_message_begin(self) -> None:
        """The parser saw a request begin."""
        super().on_message_begin()
        if self._head_bytes is None:
            self._expect_head()

    def on_headers_complete(self) -> None:
        """The parser saw a head end."""
        self._head_bytes = None
        self._forget_deadline()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """The parser found bytes that are no request; `msg` is uvicorn's plain text for it."""
        self._refuse(HTTPStatus.BAD_REQUEST, _BROKEN)

    def _expect_head(self) -> None:
        self._head_bytes = 0
        self._deadline = asyncio.get_running_loop().call_later(
            HEAD_SECONDS, self._refuse, HTTPStatus.REQUEST_TIMEOUT, _TOO_SLOW
        )

    def _forget_deadline(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        self._head_bytes = None
        self._forget_deadline()
        if self.transport.is_closing():
            return
        # In the middle of an answer, a second one would read as part of it.
        if not self.cycle or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(_answer(status, message))
        self.transport.close()


def _answer(status: HTTPStatus, message: str) -> bytes:
    body = msgspec.json.encode(InvalidRequest(message).body())
    headers = common_headers() | {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "connection": "close",
    }
    lines = [f"HTTP/1.1 {status} {status.phrase}", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body
