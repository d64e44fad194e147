"""`minikin serve`: one process for HTTP, one for each model, from start to last answer."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn
import uvloop

from minikin.api.http.protocol import KEEP_ALIVE_SECONDS, BoundedProtocol
from minikin.api.serving.loading import load_model
from minikin.api.serving.model_pool import ModelPool
from minikin.api.serving.store import check_database
from minikin.config import ServerSettings
from minikin.errors import SetupError

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.routing import Route

    from minikin.api.serving.service import Service

log = logging.getLogger(__name__)

BACKLOG = 1024


def serve(settings: ServerSettings, more_routes: Callable[[], list[Route]] = list) -> None:
    """Serve until a signal; the first SIGTERM or SIGINT drains, the second ends at once.

    `more_routes` gives routes to serve beside the API's own.

    Raises SetupError if the address can't be had, if the database can't be used or if the only
    model can't be loaded; SystemExit(1) when answers were cut off.
    """
    if settings.database:
        check_database(settings.database)
    listener = _listen(settings)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        finished = runner.run(_serve(settings, listener, more_routes))
    if not finished:
        raise SystemExit(1)


def _listen(settings: ServerSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise SetupError(
            f"Can't listen on {settings.host}, port {settings.port}: {error.strerror}. "
            "Choose another with --host and --port."
        ) from error


async def _serve(
    settings: ServerSettings, listener: socket.socket, more_routes: Callable[[], list[Route]]
) -> bool:
    """Whether every answer was finished."""
    started = time.perf_counter()
    models = ModelPool(settings, load_model)
    models.first()
    try:
        # In a thread, so that the engine's process starts while this one imports the HTTP side.
        app = await asyncio.to_thread(_application, settings, models)
        app.router.routes += more_routes()
        server = DrainingServer(app, settings)
        watch = asyncio.create_task(_announce(settings, models, listener, started))
        watch.add_done_callback(lambda _: server.end_if_failed(watch))
        await server.serve(sockets=[listener])
        server.service.store.close()
        if not watch.cancel() and (error := watch.exception()):
            raise error
    finally:
        await models.stop()
    return not server.cut_off


def _application(settings: ServerSettings, models: ModelPool) -> Starlette:
    from minikin.api.app import create_app

    return create_app(settings, models)


async def _announce(
    settings: ServerSettings, models: ModelPool, listener: socket.socket, started: float
) -> None:
    """Print the line that says where the server is, once its first model answers.

    Raises SetupError if the only model can't be loaded, now or after a crash.
    """
    host, port = listener.getsockname()[:2]
    where = f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"
    names = ", ".join(models.names)
    try:
        model = await models.first()
        seconds, window = time.perf_counter() - started, model.engine.info.context_length
        told = f"{names} at {where} (context of {window} tokens)"
        print(f"Ready after {seconds:.1f} s: {told}", flush=True)
        raise await model.engine.given_up()
    except SetupError as error:
        if len(settings.models) == 1:
            raise
        first = settings.models[0].id
        log.error("%s can't be loaded: %s\nServing %s at %s", first, error.message, names, where)


class DrainingServer(uvicorn.Server):
    """Uvicorn, except that the first signal lets running answers end before anything closes."""

    def __init__(self, app: Starlette, settings: ServerSettings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=BoundedProtocol,
                ws="none",
                lifespan="off",  # what it would do, `_serve` does also after a forced end
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=1,
            )
        )
        self.cut_off = False
        self.service: Service = app.state.service
        self._drain_seconds = settings.drain_seconds
        self._loop = asyncio.get_running_loop()
        self._drain: asyncio.Task[None] | None = None

    def end_if_failed(self, watch: asyncio.Task[None]) -> None:
        """End at once if `watch`, which is done, has failed."""
        if not watch.cancelled() and watch.exception():
            self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Signal handler: drain at the first, end at the second."""
        if self.service.draining:
            self.cut_off = self.service.in_flight > 0
            self.should_exit = self.force_exit = True
        else:
            self.service.draining = True
            self._loop.call_soon_threadsafe(self._begin_drain)

    def _begin_drain(self) -> None:
        log.info("draining: %d requests in flight", self.service.in_flight)
        self._drain = asyncio.create_task(self._finish())

    async def _finish(self) -> None:
        try:
            await asyncio.wait_for(self.service.idle.wait(), self._drain_seconds)
        except TimeoutError:
            self.cut_off = True
            # What still runs ends with an error that its client sees.
            await self.service.models.stop()
        self.should_exit = True
