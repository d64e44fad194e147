"""GET /v1/models and /v1/models/{model}: the names of the server's models."""

from __future__ import annotations

import time
from pathlib import Path

from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from minikin.api.answer.wire import Model, ModelList
from minikin.api.http.http import json_response
from minikin.api.request.combinations import MAX_OUTPUT_TOKENS
from minikin.api.serving.service import Service
from minikin.errors import NotFound


class Models:
    """The routes for the server's models."""

    def __init__(self, service: Service) -> None:
        self._pool = service.models
        self._created = {
            name: _created(model.engine.model) for name, model in service.models.names.items()
        }

    async def all(self, request: Request) -> Response:
        """List the models, each model's id before its aliases."""
        return json_response(ModelList(data=[await self._model(name) for name in self._created]))

    async def one(self, request: Request) -> Response:
        """Return one model. Raises NotFound."""
        name = request.path_params["model"]
        if name not in self._created:
            raise NotFound(
                f"The model '{name[:64]}' does not exist", param="model", code="model_not_found"
            )
        return json_response(await self._model(name))

    async def _model(self, name: str) -> Model:
        window = await self._pool.context_length(name)
        return Model(
            id=name,
            created=self._created[name],
            owned_by="minikin",
            context_length=window or UNSET,
            max_output_tokens=min(window, MAX_OUTPUT_TOKENS) if window else UNSET,
            root=UNSET if name == self._pool.names[name].id else self._pool.names[name].id,
        )


def _created(file: Path) -> int:
    """The modification time of the model, in Unix seconds."""
    try:
        return int(file.stat().st_mtime)
    except OSError:
        return int(time.time())
