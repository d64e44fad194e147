"""The HTTP application: routes, errors, and what stands around them."""

from __future__ import annotations

import logging

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from minikin.api import docs
from minikin.api.chat_completions import FAULT, ChatCompletions
from minikin.api.edge import Edge
from minikin.api.http import TransportFault, error_response, json_response
from minikin.api.models import Models
from minikin.api.seams import Engine, Tokenizer
from minikin.api.service import Service
from minikin.chat.template import ChatTemplate
from minikin.config import ServerSettings
from minikin.errors import EngineFailure, MinikinError

log = logging.getLogger(__name__)


def create_app(
    settings: ServerSettings, engine: Engine, tokenizer: Tokenizer, template: ChatTemplate
) -> Starlette:
    """The application over these parts; its `state.service` is the Service behind the routes."""
    service = Service(settings, engine, tokenizer, template)
    models = Models(service)

    async def health(request: Request) -> Response:
        return json_response({"status": "ok"})

    async def ready(request: Request) -> Response:
        if service.is_ready:
            return json_response({"status": "ready"})
        return json_response({"status": "draining" if service.draining else "loading"}, 503)

    app = Starlette(
        routes=[
            Route("/health", health),
            Route("/ready", ready),
            Route("/v1/models", models.all),
            Route("/v1/models/{model:path}", models.one),
            Route("/v1/chat/completions", ChatCompletions(service), methods=["POST"]),
            *docs.routes(),
        ],
        middleware=[Middleware(Edge, host=settings.host)],
        exception_handlers={
            MinikinError: _on_error,
            HTTPException: _on_http_exception,
            Exception: _on_fault,
        },
    )
    app.router.redirect_slashes = False
    app.state.service = service
    return app


async def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, MinikinError)
    return error_response(error)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """Routes that don't exist, in OpenAI's words."""
    assert isinstance(error, HTTPException)
    method, path = request.method, request.url.path[:256]
    if error.status_code == 405:
        fault = TransportFault(
            405,
            f"Not allowed to {method} on {path}. "
            "(HINT: Perhaps you meant to use a different HTTP method?)",
            code="method_not_supported",
        )
    else:
        fault = TransportFault(error.status_code, f"Invalid URL ({method} {path})")
    response = error_response(fault)
    response.headers.update(error.headers or {})
    return response


async def _on_fault(request: Request, error: Exception) -> Response:
    """A bug of ours: the log has the trace, the client only what helps it."""
    return error_response(EngineFailure(FAULT))
