"""The HTTP application: its routes, middleware and error handlers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, NamedTuple

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route

from minikin.api.batches.runner import BatchRunner
from minikin.api.http.access_log import AccessLog
from minikin.api.http.cors import Cors
from minikin.api.http.edge import Edge
from minikin.api.http.gate import Gate
from minikin.api.http.http import TransportFault, error_response, json_response
from minikin.api.http.public import METRICS
from minikin.api.page import controls, docs
from minikin.api.page import files as page_files
from minikin.api.page.ask import AskForKey
from minikin.api.page.dashboard import Dashboard
from minikin.api.request.batch_rules import ENDPOINTS
from minikin.api.routes.background import Background
from minikin.api.routes.batches import Batches
from minikin.api.routes.chat_completions import ChatCompletions
from minikin.api.routes.completions import Completions
from minikin.api.routes.conversations import Conversations
from minikin.api.routes.files import Files
from minikin.api.routes.models import Models
from minikin.api.routes.openapi import document, with_more
from minikin.api.routes.responses import Responses
from minikin.api.routes.stored_completions import StoredCompletions
from minikin.api.routes.stored_responses import StoredResponses
from minikin.api.routes.tokens import Tokens
from minikin.api.serving.metrics import METRICS_TYPE
from minikin.api.serving.model_pool import ModelPool
from minikin.api.serving.service import BatchService, Service
from minikin.config import ServerSettings
from minikin.errors import MinikinError

_NOT_SERVED = {("POST", "/v1/responses/compact")}
"""Routes of OpenAI whose paths look like those of an object here."""


class MoreRoutes(NamedTuple):
    """Routes that another room adds to the server."""

    routes: Sequence[Route] = ()
    paths: Mapping[str, Any] = MappingProxyType({})
    """Their path items for the OpenAPI document."""


_NO_MORE = MoreRoutes()


def create_app(
    settings: ServerSettings, models: ModelPool, more: MoreRoutes = _NO_MORE
) -> Starlette:
    """The application for these models. Its `state.service` is the Service behind the routes."""
    service = Service(settings, models)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        models.first()
        service.start()
        yield
        await service.stop()
        await models.stop()

    app = Starlette(
        routes=[
            *_routes(service),
            *more.routes,
            *_docs(settings, more),
            *page_files.routes(),
            *controls.routes(service),
            *Dashboard(service).routes(),
        ],
        middleware=[
            Middleware(Edge, service),
            *([Middleware(AccessLog)] if settings.access_log else []),
            Middleware(Cors, settings.allowed_origins),
            Middleware(AskForKey),
            Middleware(Gate, settings, service.keys),
        ],
        exception_handlers={MinikinError: _on_error, HTTPException: _on_no_route},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.service = service
    return app


def _routes(service: Service) -> list[BaseRoute]:
    models, stored, tokens = Models(service), StoredCompletions(service), Tokens(service)
    background, files = Background(service), Files(service)
    service.keepers.append(background)
    responses, kept = Responses(service, background), StoredResponses(service, background)
    talks = Conversations(service)
    batches = Batches(service, _batch_runner(service, background))

    async def health(request: Request) -> Response:
        return json_response({"status": "ok"})

    async def ready(request: Request) -> Response:
        if service.is_ready:
            return json_response({"status": "ready"})
        return json_response({"status": "draining" if service.draining else "loading"}, 503)

    async def metrics(request: Request) -> Response:
        return Response(service.metrics.text(), media_type=METRICS_TYPE)

    return [
        Route(METRICS, metrics),
        Route("/health", health),
        Route("/ready", ready),
        Route("/v1/models", models.all),
        Route("/v1/models/{model:path}", models.one),
        Route("/v1/chat/completions", ChatCompletions(service), methods=["POST"]),
        Route("/v1/chat/completions", stored.all),
        Route("/v1/chat/completions/{id}", stored.one),
        Route("/v1/chat/completions/{id}", stored.update, methods=["POST"]),
        Route("/v1/chat/completions/{id}", stored.delete, methods=["DELETE"]),
        Route("/v1/chat/completions/{id}/messages", stored.messages),
        Route("/v1/completions", Completions(service), methods=["POST"]),
        Route("/v1/responses", responses, methods=["POST"]),
        Route("/v1/responses/input_tokens", responses.count, methods=["POST"]),
        Route("/v1/responses/{id}", kept.one),
        Route("/v1/responses/{id}", kept.delete, methods=["DELETE"]),
        Route("/v1/responses/{id}/cancel", kept.cancel, methods=["POST"]),
        Route("/v1/responses/{id}/input_items", kept.input_items),
        Route("/v1/conversations", talks.create, methods=["POST"]),
        Route("/v1/conversations/{id}", talks.one),
        Route("/v1/conversations/{id}", talks.update, methods=["POST"]),
        Route("/v1/conversations/{id}", talks.delete, methods=["DELETE"]),
        Route("/v1/conversations/{id}/items", talks.items),
        Route("/v1/conversations/{id}/items", talks.add, methods=["POST"]),
        Route("/v1/conversations/{id}/items/{item}", talks.item),
        Route("/v1/conversations/{id}/items/{item}", talks.remove, methods=["DELETE"]),
        Route("/v1/files", files.upload, methods=["POST"]),
        Route("/v1/files", files.all),
        Route("/v1/files/{id}", files.one),
        Route("/v1/files/{id}", files.delete, methods=["DELETE"]),
        Route("/v1/files/{id}/content", files.content),
        Route("/v1/batches", batches.create, methods=["POST"]),
        Route("/v1/batches", batches.all),
        Route("/v1/batches/{id}", batches.one),
        Route("/v1/batches/{id}/cancel", batches.cancel, methods=["POST"]),
        Route("/tokenize", tokens.tokenize, methods=["POST"]),
        Route("/detokenize", tokens.detokenize, methods=["POST"]),
    ]


def _batch_runner(service: Service, background: Background) -> BatchRunner:
    """Runs batches with the routes that interactive requests use too."""
    below = BatchService(service)
    endpoints = {
        "/v1/responses": Responses(below, background),
        "/v1/chat/completions": ChatCompletions(below),
    }
    assert tuple(endpoints) == ENDPOINTS
    runner = BatchRunner(
        lambda: service.store, endpoints, max_line_bytes=service.settings.max_body_bytes
    )
    service.keepers.append(runner)
    return runner


def _docs(settings: ServerSettings, more: MoreRoutes) -> list[Route]:
    return docs.routes(with_more(document(extensions=settings.extensions), more.paths))


async def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, MinikinError)
    return error_response(error)


async def _on_no_route(request: Request, error: Exception) -> Response:
    """The answer to an unknown path or method, in OpenAI's words."""
    assert isinstance(error, HTTPException)
    method, path = request.method, request.scope["path"][:256]
    status = 404 if (method, path) in _NOT_SERVED else error.status_code
    if status != 405:
        hint = _near(request, path) if status == 404 else ""
        return error_response(TransportFault(status, f"Invalid URL ({method} {path}){hint}"))
    response = error_response(
        TransportFault(
            405,
            f"Not allowed to {method} on {path}. "
            "(HINT: Perhaps you meant to use a different HTTP method?)",
            code="method_not_supported",
        )
    )
    response.headers["allow"] = ", ".join(_methods(request))
    return response


def _near(request: Request, path: str) -> str:
    """A hint at the path that a client means whose base URL lacks /v1, or has it twice."""
    for meant in (f"/v1{path}", path.removeprefix("/v1")):
        scope = {**request.scope, "path": meant}
        if meant.startswith("/v1/") and any(
            route.matches(scope)[0] is Match.FULL for route in request.app.routes
        ):
            return f". Did you mean {meant}? The base URL ends in one /v1."
    return ""


def _methods(request: Request) -> list[str]:
    """Every method that a route accepts at the request's path."""
    routes = [
        route
        for route in request.app.routes
        if isinstance(route, Route) and route.matches(request.scope)[0] != Match.NONE
    ]
    return sorted({method for route in routes for method in route.methods or ()})
