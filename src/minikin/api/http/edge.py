"""The outermost layer: the headers of every answer."""

from __future__ import annotations

import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from minikin.api.answer.identifiers import request_id
from minikin.api.http.access_log import CLIENT_LEFT
from minikin.api.http.headers import common_headers
from minikin.api.request.affinity import SESSION
from minikin.api.serving.service import Service


class Edge:
    """Wraps the application `app`. Routes find `request_id` in the scope's state."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and give its answer the common headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        scope.setdefault("state", {})["request_id"] = request_id()

        answered = False

        async def send_with_headers(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                self._add_headers(message, scope, time.perf_counter() - begun)
                self._service.metrics.answered(message["status"])
            await send(message)

        try:
            with self._service.tracing.request(Headers(scope=scope)):
                await self._app(scope, receive, send_with_headers)
        finally:
            if not answered:
                self._service.metrics.answered(CLIENT_LEFT)

    def _add_headers(self, start: Message, scope: Scope, seconds: float) -> None:
        """The headers that OpenAI sends. As at OpenAI, a 404 has no time and no limits.

        The limits are those of the key. Without a limit of requests, it is the places for them.
        """
        identifier, owner = scope["state"]["request_id"], scope["state"].get("owner")
        headers = MutableHeaders(raw=list(start.get("headers", [])))
        for name, value in common_headers(identifier).items():
            headers.setdefault(name, value)
        if session := scope["state"].get("session"):
            headers[SESSION] = session
        if self._service.draining:
            headers["connection"] = "close"
        if start["status"] != 404:
            limit = self._service.settings.max_queued
            headers["openai-processing-ms"] = str(round(seconds * 1000))
            headers["x-ratelimit-limit-requests"] = str(limit)
            headers["x-ratelimit-remaining-requests"] = str(limit - self._service.in_flight)
            headers.update(self._service.keys.account(owner).headers() if owner else {})
        start["headers"] = headers.raw
