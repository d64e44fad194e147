"""The outermost layer: which requests are let in at all, and the headers of every answer."""

from __future__ import annotations

import ipaddress
import re
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from minikin.api.http import TransportFault, error_response
from minikin.api.identifiers import request_id
from minikin.errors import MinikinError

_HOST = re.compile(r"(?P<name>[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:\d{1,5})?")


class Edge:
    """Wraps the application `app`; `host` is the address that the server is bound to."""

    def __init__(self, app: ASGIApp, *, host: str) -> None:
        self._app = app
        self._host_names = {"localhost", host.lower()} - {"0.0.0.0"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it on; either way its answer gets the common headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(message, time.perf_counter() - started)
            await send(message)

        try:
            self._check_host(Headers(scope=scope))
        except MinikinError as error:
            await error_response(error)(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)

    def _check_host(self, headers: Headers) -> None:
        """Names of other hosts are refused: a page on such a host may not use this server.

        Without it a web page could reach a server on its visitor's machine by a name of its own
        that resolves to a loopback address (DNS rebinding). An address is nobody's name.
        """
        match = _HOST.fullmatch(headers.get("host", ""))
        if not match:
            raise TransportFault(400, "The request needs one valid 'Host' header.")
        name = match["name"].strip("[]").lower()
        if name not in self._host_names and not _is_usable_address(name):
            raise TransportFault(
                403,
                f"This server does not answer to the host name '{name[:64]}'.",
                code="host_not_allowed",
            )


def _is_usable_address(name: str) -> bool:
    try:
        return not ipaddress.ip_address(name).is_unspecified
    except ValueError:
        return False


def _add_headers(start: Message, seconds: float) -> None:
    """Headers that the original sends on every answer; no processing time on a 404, as there."""
    headers = MutableHeaders(raw=list(start.get("headers", [])))
    headers["x-request-id"] = request_id()
    headers["openai-version"] = "2020-10-01"
    headers["openai-organization"] = "minikin"
    headers["x-content-type-options"] = "nosniff"
    headers["access-control-expose-headers"] = "X-Request-ID"
    if start["status"] != 404:
        headers["openai-processing-ms"] = str(round(seconds * 1000))
    start["headers"] = headers.raw
