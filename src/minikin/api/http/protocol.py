"""HTTP/1.1 on one connection: uvicorn's protocol with limits, and for unusual clients."""

from __future__ import annotations

import asyncio
import resource
import time
from http import HTTPStatus
from typing import Any

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from minikin.api.http.exchange import Exchange
from minikin.api.http.half_closed import HalfClosed
from minikin.api.http.headers import common_headers
from minikin.api.http.http import WRITE_SECONDS
from minikin.errors import InvalidRequest

MAX_CONNECTIONS = 4_096
MAX_HEAD_BYTES = 65_536
"""Maximum bytes of the request line and the headers together."""
MAX_HEADERS = 256
"""Maximum number of headers. Browsers and proxies send fewer than 60."""
HEAD_SECONDS = 10.0
"""Maximum time for a client to send them."""
LINGER_SECONDS = 2.0
"""How long a closing connection still reads. A reset can lose the answer for the client."""
KEEP_ALIVE_SECONDS = 620
"""Longer than connection pools: Go 90 s, OkHttp 300 s, load balancers 600 s."""
MAX_PIPELINED = 100
"""Maximum requests of one connection that wait for earlier answers."""
_BROKEN = "The request is not valid HTTP/1.1."
_CODING = "The only supported Transfer-Encoding is 'chunked'."
_TOO_LARGE = f"The line and headers, or the trailers, are larger than {MAX_HEAD_BYTES} bytes."
_TOO_MANY_HEADERS = f"The request has more than {MAX_HEADERS} headers or trailers."
_TOO_MANY = f"More than {MAX_PIPELINED} requests wait for earlier answers on this connection."
_TOO_SLOW = "The headers of the request did not arrive in time."


def _most_connections() -> int:
    """Half of the files that this process can open, but at most MAX_CONNECTIONS."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = files == resource.RLIM_INFINITY
    return MAX_CONNECTIONS if unlimited else min(MAX_CONNECTIONS, files // 2)


MAX_CONNECTIONS = _most_connections()
"""Above this number, a new connection closes the one that was idle longest."""


class _Refusal(Exception):
    """Raised in a callback of the parser. Its status and message end the connection."""


class BoundedProtocol(HttpToolsProtocol):
    """Uvicorn's protocol. A head that is invalid, too large or too slow ends the connection.

    The client first gets the usual error object. An offered upgrade is ignored (RFC 9110, 7.8). A
    client that closes its sending side after a request gets its answer.
    """

    _in_head = True
    """Whether a head is due. False during a body or an answer."""
    _head_bytes = 0
    """Received bytes of the current head, or since the last part of a body (such as trailers)."""
    _fields = 0
    """Bytes of the current line, headers and trailers. A read can have them all, and their end."""
    _deadline: asyncio.TimerHandle | None = None
    """The timer for an overdue head, or for closing a lingering connection."""
    _lingering = False
    """Whether everything is sent and further input is discarded."""
    _idle_since: float | None = None
    _unread: asyncio.TimerHandle | None = None
    """The timer for the rest of an answer that the client does not read."""
    _exchange: Exchange | None = None
    """The current or latest request. More can wait in `pipeline`."""
    _half_closed: HalfClosed | None = None

    def connection_made(self, transport: Any) -> None:
        """A client connected. Its first request is due."""
        super().connection_made(transport)
        self._expect_head()
        if len(self.connections) > MAX_CONNECTIONS:
            self._close_longest_idle()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        self._forget_deadline()
        if self._unread:
            self._unread.cancel()
        self._unset_keepalive_if_required()
        if self._half_closed:
            self._half_closed.stop()
        if self._exchange:
            self._exchange.abandon()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes arrived."""
        self._unset_keepalive_if_required()
        if self._lingering:
            return
        self._head_bytes += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError as error:
            refusal = error.__context__
            if not isinstance(refusal, _Refusal):
                refusal = _Refusal(HTTPStatus.BAD_REQUEST, _BROKEN)
            self._refuse(*refusal.args)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, _TOO_LARGE)
        self._rest_if_idle()

    def eof_received(self) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The client closed its sending side. Returns whether the connection stays open."""
        exchange = self._exchange
        if self._lingering or exchange is None or exchange.is_over:
            return False
        if not self.transport.can_write_eof():
            return False  # TLS has no connections that are half closed
        self._forget_deadline()
        self.cycle.keep_alive = False
        exchange.end_input()
        self._half_closed = HalfClosed(self.transport, lambda: self._exchange or exchange)
        return True

    def on_message_begin(self) -> None:
        """The parser found the start of a request."""
        super().on_message_begin()
        self._fields = 0
        if not self._in_head:
            self._expect_head()

    def on_url(self, url: bytes) -> None:
        """The parser found a part of the path."""
        super().on_url(url)
        self._add_to_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser found a header or a trailer."""
        super().on_header(name, value)
        self._add_to_head(len(name) + len(value))
        if len(self.headers) > MAX_HEADERS:
            raise _Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, _TOO_MANY_HEADERS)

    def on_headers_complete(self) -> None:
        """The parser found the end of a head."""
        if self.parser.should_upgrade():
            return  # the same head follows without the offer, see _parse
        codings = [value.lower() for name, value in self.headers if name == b"transfer-encoding"]
        if codings not in ([], [b"chunked"]):
            raise _Refusal(HTTPStatus.NOT_IMPLEMENTED, _CODING)
        if len(self.pipeline) >= MAX_PIPELINED:
            raise _Refusal(HTTPStatus.TOO_MANY_REQUESTS, _TOO_MANY)
        self._end_head()
        super().on_headers_complete()
        self.flow.resume_reading()  # otherwise the server does not notice a disconnect

    def on_body(self, body: bytes) -> None:
        """The parser found a part of a body."""
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The parser found the end of a request."""
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer is written."""
        self._watch_unread()
        if self._exchange and self._exchange.closes:
            self._close()
        else:
            super().on_response_complete()
            self._rest_if_idle()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._exchange = Exchange(cycle, app, input_ended=self._half_closed is not None)
        super()._start_asgi_task(cycle, self._exchange)

    def _parse(self, data: bytes) -> None:
        """Parse the input. Raises HttpParserError.

        The parser stops after a head that offers an upgrade, and skips its body. Therefore a new
        parser gets the same head without the offer, and then the rest.
        """
        rest = memoryview(data)
        while True:
            try:
                self.parser.feed_data(rest)
                return
            except httptools.HttpParserUpgrade as offer:
                method = self.parser.get_method()
                if method == b"CONNECT":
                    raise httptools.HttpParserError("CONNECT is not supported") from None
                version = self.parser.get_http_version().encode()
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                self.parser.feed_data(_head(method, self.url, version, self.headers))
                rest = rest[offer.args[0] :]

    def _expect_head(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        self._idle_since = None
        self._wait_for_head()

    def _wait_for_head(self) -> None:
        due = self.loop.time() + HEAD_SECONDS
        self._deadline = self.loop.call_at(due, self._overdue, due)

    def _overdue(self, due: float) -> None:
        if self.loop.time() - due > HEAD_SECONDS / 10:
            self._wait_for_head()  # the server itself paused, not the client
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, _TOO_SLOW)

    def _end_head(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        self._forget_deadline()

    def _add_to_head(self, size: int) -> None:
        self._fields += size
        if self._fields > MAX_HEAD_BYTES:
            raise _Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, _TOO_LARGE)

    def _forget_deadline(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None

    def _rest_if_idle(self) -> None:
        """Start the idle timer if the connection is idle."""
        if not self._exchange or not self._exchange.is_over or self._in_head:
            return
        if self.pipeline or self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self._idle_since = time.monotonic()
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _watch_unread(self, before: int | None = None) -> None:
        """End the connection if its client reads nothing of a complete answer for some time.

        `before` is the number of bytes that the client had not read at the last look.
        """
        left = self.transport.get_write_buffer_size()
        if before is not None and left >= before and self._exchange and self._exchange.is_over:
            self.transport.abort()
        elif left:
            self._unread = self.loop.call_later(WRITE_SECONDS, self._watch_unread, left)

    def _close_longest_idle(self) -> None:
        connections = [each for each in self.connections if isinstance(each, BoundedProtocol)]
        idle = [each for each in connections if each._idle_since is not None]
        if idle:
            min(idle, key=lambda each: each._idle_since or 0.0).transport.close()

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        self._end_head()
        if self.transport.is_closing() or self._lingering:
            return
        # During an answer, a second answer would look like a part of it.
        if not self._exchange or self._exchange.is_over or not self._exchange.is_answering:
            self.transport.write(_answer(status, message))
            self._count(status)
        if self._exchange:
            self._exchange.abandon()
        self._linger()

    def _count(self, status: HTTPStatus) -> None:
        """Count an answer that no route gave, as the server counts the others."""
        service = getattr(getattr(self.config.app, "state", None), "service", None)
        if service:
            service.metrics.answered(status)

    def _close(self) -> None:
        if self._half_closed or not self.cycle.more_body:
            self.transport.close()
        else:
            self._linger()

    def _linger(self) -> None:
        """Close, but continue to read for a short time."""
        self._lingering = True
        self.flow.resume_reading()
        if not self.transport.can_write_eof():  # TLS
            self.transport.close()
            return
        self.transport.write_eof()
        self._deadline = self.loop.call_later(LINGER_SECONDS, self.transport.abort)


def _head(method: bytes, url: bytes, version: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
    """A request's head as it was sent, without the offer of an upgrade."""
    lines = [b"%s: %s" % pair for pair in headers if pair[0] != b"upgrade"]
    return b"\r\n".join([b"%s %s HTTP/%s" % (method, url, version), *lines, b"", b""])


def _answer(status: HTTPStatus, message: str) -> bytes:
    body = msgspec.json.encode(InvalidRequest(message).body())
    headers = common_headers() | {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "connection": "close",
    }
    lines = [f"HTTP/1.1 {status} {status.phrase}", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body
