"""One line for each request: what was asked, how it ended, how long it took, and how large it was.

No line holds a query, a header or any content of a message.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from minikin.api.http.public import DASHBOARD, METRICS, PAGE_FILES, PROBES
from minikin.logs import ACCESS, one_line

log = logging.getLogger(ACCESS)

_MINOR = {*PROBES, METRICS, f"{DASHBOARD}.json"}
"""Programs and pages ask for them all the time."""
MAX_PATH = 256
"""Characters of a path that are logged."""
CLIENT_LEFT = 499
"""The status in the log where the client left before there was one (nginx has it so)."""


def noted(scope: Scope) -> dict[str, Any]:
    """Facts for the request's line, such as the model and its tokens."""
    return scope["state"].setdefault("noted", {})


class AccessLog:
    """Wraps the application `app`; `request_id` is in the scope's state."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; log it when its answer is complete or its client has left."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        status = CLIENT_LEFT

        async def watched_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        finally:
            path: str = scope["path"]
            is_minor = path in _MINOR or path.startswith(PAGE_FILES)
            seconds = time.perf_counter() - begun
            level = logging.DEBUG if is_minor else logging.INFO
            log.log(level, _line(scope, status, seconds), extra=_fields(scope, status, seconds))


def _line(scope: Scope, status: int, seconds: float) -> str:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    milliseconds = round(seconds * 1000)
    words: list[Any] = [now, scope["method"], _path(scope), status, f"{milliseconds}ms"]
    words.append(scope["state"]["request_id"])
    words += [f"{name}={value}" for name, value in scope["state"].get("noted", {}).items()]
    return " ".join(_word(str(word)) for word in words)


def _fields(scope: Scope, status: int, seconds: float) -> dict[str, Any]:
    """The same for a log in JSON."""
    return {
        "fields": {
            "method": scope["method"],
            "path": _path(scope),
            "status": status,
            "duration_ms": round(seconds * 1000),
            "request_id": scope["state"]["request_id"],
            **scope["state"].get("noted", {}),
        }
    }


def _path(scope: Scope) -> str:
    """The path as it was sent: with its escapes, without the query."""
    sent: bytes = scope.get("raw_path") or scope["path"].encode()
    path = sent.partition(b"?")[0].decode("ascii", "backslashreplace")
    return path if len(path) <= MAX_PATH else f"{path[:MAX_PATH]}..."


def _word(text: str) -> str:
    """`text` as one word of a line."""
    return one_line(text).replace(" ", "\\x20")
