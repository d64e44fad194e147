"""Removes the second X-Request-ID that Ray Serve's HTTP servers add to each answer."""

from __future__ import annotations

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_NAME = b"x-request-id"


class OneRequestId:
    """Keeps the first X-Request-ID of an answer, which is Minikin's own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""

        async def send_once(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _without_second(message["headers"])
            await send(message)

        await self._app(scope, receive, send_once)


def _without_second(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    names = [name.lower() for name, _ in headers]
    first = names.index(_NAME) if _NAME in names else 0
    return [pair for at, pair in enumerate(headers) if at == first or names[at] != _NAME]


def middlewares() -> list[Middleware]:
    """Called by Ray Serve in each process that speaks HTTP. `ENVIRONMENT` in run.py names it."""
    return [Middleware(OneRequestId)]
