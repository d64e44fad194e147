"""Which web pages can use the server from a browser: CORS, as in the Fetch standard."""

from __future__ import annotations

import logging

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from minikin.api.http.http import TransportFault, error_response

log = logging.getLogger(__name__)

EXPOSED = (
    "X-Request-ID", "OpenAI-Processing-MS", "OpenAI-Version", "OpenAI-Organization", "Retry-After",
    "Retry-After-Ms", "X-Should-Retry", "X-RateLimit-Limit-Requests",
    "X-RateLimit-Remaining-Requests", "X-RateLimit-Reset-Requests", "X-RateLimit-Limit-Tokens",
    "X-RateLimit-Remaining-Tokens", "X-RateLimit-Reset-Tokens",
)  # fmt: skip
"""Headers that a page can read, beside those that every page can."""
_MOST_LOGGED = 100


class Cors(CORSMiddleware):
    """Starlette's middleware. A rejected origin gets the name of the option that allows it."""

    def __init__(self, app: ASGIApp, origins: tuple[str, ...]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=["*"],
            allow_headers=["*"],
            allow_private_network=True,
            expose_headers=EXPOSED,
            max_age=7200,
        )
        self._logged: set[str] = set()

    def preflight_response(self, request_headers: Headers) -> Response:
        """The answer to a browser that asks, without a key, whether a page can send a request."""
        origin = request_headers["origin"]
        if self.is_allowed_origin(origin):
            return super().preflight_response(request_headers)
        message = (
            f"This server does not answer to web pages of {origin[:128]!a}. To allow them, "
            "start the server with --allowed-origin and this origin."
        )
        if origin not in self._logged and len(self._logged) < _MOST_LOGGED:
            self._logged.add(origin)
            log.warning(message)
        return error_response(TransportFault(403, message, code="origin_not_allowed"))
