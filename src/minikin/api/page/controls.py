"""GET /playground.json: what the page offers, from the rules that check every request."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from minikin.api.http.extensions import HEADER
from minikin.api.http.http import json_response
from minikin.api.request.combinations import MAX_OUTPUT_TOKENS
from minikin.api.request.destinations import Sampling, Setting
from minikin.api.request.parameter import Parameter
from minikin.api.request.parameters import EXTENSIONS, TABLE
from minikin.api.serving.service import Service

_ALSO = ("max_completion_tokens", "reasoning_effort")
"""Controls that are not sampling."""


def routes(service: Service) -> list[Route]:
    """The route. With keys, it needs one, as the models' names do elsewhere."""

    async def data(request: Request) -> Response:
        models = [await _model(service, place.id) for place in service.settings.models]
        return json_response(
            {"models": models, "controls": controls(service), "extensions_header": HEADER}
        )

    return [Route("/playground.json", data)]


def controls(service: Service) -> list[dict[str, Any]]:
    """Every parameter that changes how an answer is sampled.

    With an extension, a request needs the header of `extensions.py`.
    """
    limit = service.settings.default_max_tokens
    return [
        {
            "name": parameter.name,
            "is_extension": parameter in EXTENSIONS and not service.settings.extensions,
            "schema": parameter.rule.schema,
            "default": limit if parameter.name == "max_completion_tokens" else _default(parameter),
            "default_text": parameter.default.replace("`", ""),
            "behaviour": parameter.behaviour,
        }
        for parameter in TABLE.parameters
        if parameter.name in _ALSO or _samples(parameter)
    ]


def _samples(parameter: Parameter) -> bool:
    return any(isinstance(place, Sampling) for place in parameter.goes_to)


def _default(parameter: Parameter) -> Any:
    """OpenAI's default, for a model without one of its own."""
    places = (place for place in parameter.goes_to if isinstance(place, Setting))
    return next((place.default for place in places), None)


async def _model(service: Service, name: str) -> dict[str, Any]:
    window = await service.models.context_length(name)
    return {
        "id": name,
        "names": service.models.names[name].names,
        "context_length": window,
        "max_output_tokens": min(window, MAX_OUTPUT_TOKENS) if window else None,
        "sampling": service.models.sampling(name),
    }
