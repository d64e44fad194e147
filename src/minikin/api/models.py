"""GET /v1/models and /v1/models/{model}: the names that the loaded model answers to."""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import Response

from minikin.api.http import json_response
from minikin.api.service import Service
from minikin.api.wire import Model, ModelList
from minikin.errors import NotFound


class Models:
    """The routes over the server's models."""

    def __init__(self, service: Service) -> None:
        created = _created(service)
        self._models = {
            name: Model(id=name, created=created, owned_by="minikin") for name in service.models
        }

    async def all(self, request: Request) -> Response:
        """List them, the model's own id first."""
        return json_response(ModelList(data=list(self._models.values())))

    async def one(self, request: Request) -> Response:
        """Show one. Raises NotFound."""
        name = request.path_params["model"]
        if name not in self._models:
            raise NotFound(
                f"The model '{name[:64]}' does not exist", param="model", code="model_not_found"
            )
        return json_response(self._models[name])


def _created(service: Service) -> int:
    """When the model file was written, in Unix seconds."""
    try:
        return int(service.settings.engine.model.stat().st_mtime)
    except OSError:
        return int(time.time())
