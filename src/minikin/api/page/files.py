"""GET / and /page/...: the files of the playground, for browsers."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from minikin.api.http.public import PAGE, PAGE_FILES, wants_page

STATIC = Path(__file__).parent / "static"
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types dompurify",
    )
)
"""Only this server's own files run and load. A model's text cannot become a script or a request."""
HEADERS = {
    "content-security-policy": POLICY,
    "cache-control": "no-cache",  # a browser asks whether its copy is current
    "referrer-policy": "no-referrer",
}


class BrowserRoute(Route):
    """A route that only browsers see: programs get the error of a path that does not exist."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """See Route."""
        if scope["type"] == "http" and not wants_page(scope):
            return Match.NONE, {}
        return super().matches(scope)


def routes() -> list[Route]:
    """The routes of the page and its files."""
    files = StaticFiles(directory=STATIC)

    async def file(request: Request) -> Response:
        return await _served(files, request.path_params["path"], request.scope)

    async def page(request: Request) -> Response:
        response = await _served(files, "index.html", request.scope)
        response.headers["vary"] = "Accept"
        return response

    return [BrowserRoute(PAGE, page), Route(PAGE_FILES + "{path:path}", file)]


async def _served(files: StaticFiles, path: str, scope: Scope) -> Response:
    """A file with its headers. Raises HTTPException(404)."""
    response = await files.get_response(path, scope)
    response.headers.update(HEADERS)
    return response
