"""What a browser without a key gets in place of a page that needs one: a page that asks for it."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from minikin.api.http.public import wants_page
from minikin.api.page.files import STATIC, html_page

NEEDS_KEY = 401


class AskForKey:
    """Wraps the application `app`. A browser cannot send a key with an address, but a page can.

    The page keeps the key for the browser's session, and shows the answer in its own place. Its
    status stays 401.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._page = (STATIC / "open.html").read_text(encoding="utf-8")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and replace the error in its answer."""
        if scope["type"] != "http" or not wants_page(scope):
            await self._app(scope, receive, send)
            return
        is_replaced = False

        async def watched_send(message: Message) -> None:
            nonlocal is_replaced
            if message["type"] == "http.response.start" and message["status"] == NEEDS_KEY:
                is_replaced = True
                home = "../" * (scope["path"].count("/") - 1)
                page = html_page(self._page, "catalog", home)
                page.status_code = NEEDS_KEY
                await page(scope, receive, send)
            elif not is_replaced:
                await send(message)

        await self._app(scope, receive, watched_send)
