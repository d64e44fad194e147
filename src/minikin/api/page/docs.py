"""GET /docs and /openapi.json: a description of the API, shown by Swagger UI from the package."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from minikin.api.http.http import json_response
from minikin.api.page.files import STATIC, html_page


def routes(described: dict[str, Any]) -> list[Route]:
    """The two routes, for an OpenAPI document."""
    page = (STATIC / "docs.html").read_text(encoding="utf-8")

    async def data(request: Request) -> Response:
        return json_response(described)

    async def shown(request: Request) -> Response:
        return html_page(page, "docs")

    return [Route("/docs", shown), Route("/openapi.json", data)]
