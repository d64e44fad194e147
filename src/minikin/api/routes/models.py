"""GET /v1/models and /v1/models/{model}: the names that the server's models answer to."""

from __future__ import annotations

import time
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from minikin.api.answer.wire import Model, ModelList
from minikin.api.http.http import json_response
from minikin.api.serving.service import Service
from minikin.errors import NotFound


class Models:
    """The routes over the server's models."""

    def __init__(self, service: Service) -> None:
        self._models = {
            name: Model(id=name, created=_created(model.engine.model), owned_by="minikin")
            for name, model in service.models.names.items()
        }

    async def all(self, request: Request) -> Response:
        """List them, each model's own id before its aliases."""
        return json_response(ModelList(data=list(self._models.values())))

    async def one(self, request: Request) -> Response:
        """Show one. Raises NotFound."""
        name = request.path_params["model"]
        if name not in self._models:
            raise NotFound(
                f"The model '{name[:64]}' does not exist", param="model", code="model_not_found"
            )
        return json_response(self._models[name])


def _created(file: Path) -> int:
    """When the model was written, in Unix seconds."""
    try:
        return int(file.stat().st_mtime)
    except OSError:
        return int(time.time())
