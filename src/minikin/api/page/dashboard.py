"""/dashboard: what the server does now, in charts and tables, and what its operator can do.

The numbers are those of /metrics. The page asks for them again and again, so they are made at most
twice in a second, however many pages are open.
"""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from minikin.api.http.http import TransportFault, json_response
from minikin.api.http.public import DASHBOARD
from minikin.api.page.files import STATIC, html_page
from minikin.api.serving.metrics import Progress
from minikin.api.serving.service import Service
from minikin.errors import NotFound

FRESH_SECONDS = 0.5
"""Younger numbers are given again."""
MOST_ROWS = 100
"""The most requests in the table: the oldest ones."""


class Dashboard:
    """The page, its numbers and its buttons."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._page = (STATIC / "dashboard.html").read_text(encoding="utf-8")
        self._made_at = 0.0
        self._numbers: dict[str, Any] = {}

    def routes(self) -> list[Route]:
        """The routes. All but the page itself need a key of the operator if the server has one."""
        models = f"{DASHBOARD}/models/{{model:path}}"
        return [
            Route(DASHBOARD, self.page),
            Route(f"{DASHBOARD}.json", self.numbers),
            Route(f"{DASHBOARD}/requests/{{id}}/cancel", self.cancel, methods=["POST"]),
            Route(f"{models}/load", self.load, methods=["POST"]),
            Route(f"{models}/unload", self.unload, methods=["POST"]),
        ]

    async def page(self, request: Request) -> Response:
        """The page, without any number in it."""
        return html_page(self._page, "dashboard")

    async def numbers(self, request: Request) -> Response:
        """What the server does now."""
        if time.monotonic() - self._made_at >= FRESH_SECONDS:
            self._numbers, self._made_at = _numbers(self._service), time.monotonic()
        return json_response(self._numbers)

    async def cancel(self, request: Request) -> Response:
        """End a running request. Raises NotFound if it ended before."""
        _check_origin(request)
        identifier = request.path_params["id"]
        if not self._service.cancel(identifier):
            raise NotFound(f"No request '{identifier[:64]}' is running.")
        return json_response({"cancelled": identifier})

    async def load(self, request: Request) -> Response:
        """Begin to load a model."""
        name = self._model(request)
        await self._service.models.load(name)
        return json_response({"model": name, "state": self._service.models.state(name)})

    async def unload(self, request: Request) -> Response:
        """Remove a model from memory. Raises InvalidRequest while requests use it."""
        name = self._model(request)
        await self._service.models.unload(name)
        return json_response({"model": name, "state": self._service.models.state(name)})

    def _model(self, request: Request) -> str:
        _check_origin(request)
        self._made_at = 0.0
        name = request.path_params["model"]
        if name not in self._service.models.loaded:
            raise NotFound(f"The model '{name[:64]}' does not exist", code="model_not_found")
        return name


def _check_origin(request: Request) -> None:
    """Reject the buttons of other web pages: a POST without a body needs no preflight."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise TransportFault(
            403, "Only the dashboard of this server can do this.", code="origin_not_allowed"
        )


def _numbers(service: Service) -> dict[str, Any]:
    now = time.perf_counter()
    running = list(service.metrics.running.values())[:MOST_ROWS]
    return {
        "at": time.time(),
        "metrics": service.metrics.numbers(),
        "running": len(service.metrics.running),
        "requests": [_row(service, progress, now) for progress in running],
        "models": [
            {
                "id": place.id,
                "aliases": place.aliases,
                "state": service.models.state(place.id),
                "estimate": place.memory or None,
            }
            for place in service.settings.models
        ],
        "limits": {"requests": service.settings.max_queued},
    }


def _row(service: Service, progress: Progress, now: float) -> dict[str, Any]:
    request = progress.request
    return {
        "id": request.id,
        "model": progress.model,
        "key": service.keys.account(request.scope).name or request.scope[:8],
        "seconds": now - progress.begun,
        "prompt_tokens": len(request.prompt),
        "tokens": progress.tokens,
        "limit": request.params.max_tokens * request.n,
        "is_batch": request.gives_way,
    }
