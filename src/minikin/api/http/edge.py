"""The outermost layer: which requests are let in at all, and the headers of every answer."""

from __future__ import annotations

import ipaddress
import logging
import re
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from minikin.api.answer.identifiers import request_id
from minikin.api.http.headers import common_headers
from minikin.api.http.http import FAULT, TransportFault, error_response
from minikin.api.http.keys import Keys
from minikin.api.serving.service import Service
from minikin.errors import EngineFailure, MinikinError

log = logging.getLogger(__name__)

OPEN_PATHS = frozenset({"/health", "/ready"})
"""Probes need no key."""
_HOST = re.compile(r"(?P<name>[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:\d{1,5})?")


class Edge:
    """Wraps the application `app`; routes find `request_id` and `owner` in the scope's state."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service
        settings = service.settings
        self._keys = Keys(settings.api_keys)
        names = {"localhost", settings.host, *settings.allowed_hosts}
        self._host_names = {name.lower() for name in names} - {"0.0.0.0", "::"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it on; either way its answer gets the common headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        answering = False
        identifier = scope.setdefault("state", {})["request_id"] = request_id()

        async def send_with_headers(message: Message) -> None:
            nonlocal answering
            if message["type"] == "http.response.start":
                answering = True
                self._add_headers(message, identifier, time.perf_counter() - begun)
            await send(message)

        try:
            self._let_in(scope)
            await self._app(scope, receive, send_with_headers)
        except MinikinError as error:
            await error_response(error)(scope, receive, send_with_headers)
        except Exception:
            log.exception("request %s failed", identifier)
            if not answering:
                fault = error_response(EngineFailure(FAULT))
                await fault(scope, receive, send_with_headers)

    def _let_in(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        self._check_host(headers)
        if scope["path"] not in OPEN_PATHS:
            address = scope["client"][0] if scope.get("client") else ""
            scope["state"]["owner"] = self._keys.owner(headers, address)

    def _check_host(self, headers: Headers) -> None:
        """Names of other hosts are refused: a page on such a host may not use this server.

        Without it a web page could reach a server on its visitor's machine by a name of its own
        that resolves to a loopback address (DNS rebinding). An address is nobody's name.
        """
        given = headers.getlist("host")
        match = _HOST.fullmatch(given[0]) if len(given) == 1 else None
        if not match:
            raise TransportFault(400, "The request needs one valid 'Host' header.")
        name = match["name"].strip("[]").lower()
        if name not in self._host_names and not _is_usable_address(name):
            raise TransportFault(
                403,
                f"This server does not answer to the host name '{name[:64]}'. "
                "Whoever runs it can allow the name.",
                code="host_not_allowed",
            )

    def _add_headers(self, start: Message, identifier: str, seconds: float) -> None:
        """The headers that the original sends; on a 404 without time and limits, as there.

        Of its rate limits the server has one, the requests in flight; the others are left out.
        """
        headers = MutableHeaders(raw=list(start.get("headers", [])))
        headers.update(common_headers(identifier))
        if self._service.draining:
            headers["connection"] = "close"
        if start["status"] != 404:
            limit = self._service.settings.max_queued
            headers["openai-processing-ms"] = str(round(seconds * 1000))
            headers["x-ratelimit-limit-requests"] = str(limit)
            headers["x-ratelimit-remaining-requests"] = str(limit - self._service.in_flight)
        start["headers"] = headers.raw


def _is_usable_address(name: str) -> bool:
    try:
        return not ipaddress.ip_address(name).is_unspecified
    except ValueError:
        return False
