"""GET / and /page/...: the files of the playground, for browsers."""

from __future__ import annotations

from html import escape
from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Match, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from minikin.api.http.public import DASHBOARD, DOCS, PAGE, PAGE_FILES, wants_page
from minikin.api.page.frame import Place, head, header

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
    )
)
"""Only this server's own files run and load."""
TRUSTED = "; require-trusted-types-for 'script'; trusted-types dompurify"
"""For pages that show a model's text: only what DOMPurify has cleaned becomes markup."""
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
    """The routes of the playground and of every page's files."""
    files = StaticFiles(directory=STATIC)
    playground = (STATIC / "playground.html").read_text(encoding="utf-8")

    async def file(request: Request) -> Response:
        response = await files.get_response(request.path_params["path"], request.scope)
        response.headers.update(HEADERS)
        return response

    async def page(request: Request) -> Response:
        response = html_page(playground, "")
        response.headers["content-security-policy"] = POLICY + TRUSTED
        response.headers["vary"] = "Accept"
        return response

    async def without_slash(request: Request) -> Response:
        return RedirectResponse(f"..{request.scope['path'].removesuffix('/')}")

    return [
        BrowserRoute(PAGE, page),
        Route(PAGE_FILES + "{path:path}", file),
        *(BrowserRoute(f"{place}/", without_slash) for place in (DOCS, DASHBOARD)),
    ]


def html_page(text: str, place: Place, home: str = "") -> Response:
    """A page with what all pages have in place of its marks. `home` leads to the server's root."""
    framed = text.replace("<!-- head -->", head(home)).replace("<!-- home -->", escape(home))
    framed = framed.replace("<!-- header -->", header(place, home))
    return Response(framed, media_type="text/html", headers=HEADERS)
