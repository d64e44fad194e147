"""The deployment of edges: HTTP, keys, validation, templates and grammars, without an engine."""

from __future__ import annotations

from ray import serve
from ray.serve.handle import DeploymentHandle
from starlette.types import ASGIApp

from minikin import logs
from minikin.api.serving.loading import load_with
from minikin.api.serving.model_pool import ModelPool
from minikin.api.serving.served_model import ServedModel
from minikin.cluster.remote_engine import RemoteEngine
from minikin.config import ModelSettings, ServerSettings


class Edge:
    """The application of `minikin serve`, over engines that run elsewhere."""

    def __init__(self, settings: ServerSettings, engines: dict[str, DeploymentHandle]) -> None:
        """`engines` has a handle for each model's id."""
        logs.set_up(settings.log_level, as_json=settings.log_format == "json")
        self._settings = settings
        self._engines = engines

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """Called by Ray Serve, which runs the application's lifespan too."""
        from minikin.api.app import create_app

        return create_app(self._settings, ModelPool(self._settings, self._load))

    async def _load(self, settings: ModelSettings) -> ServedModel:
        return await load_with(RemoteEngine(self._engines[settings.id]), settings)


EdgeReplica = serve.ingress()(Edge)
