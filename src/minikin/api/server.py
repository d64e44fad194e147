"""`minikin serve`: one process for HTTP, one for the engine, from start to last answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn
import uvloop

from minikin.api.protocol import BoundedProtocol
from minikin.config import ServerSettings
from minikin.engine.process import EngineProcess
from minikin.errors import MinikinError, ModelFileError, SetupError

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.routing import Route

    from minikin.api.service import Service

log = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 15
BACKLOG = 1024


def serve(settings: ServerSettings, more_routes: Callable[[], list[Route]] = list) -> None:
    """Serve until a signal; the first SIGTERM or SIGINT drains, the second ends at once.

    `more_routes` gives routes to serve beside the API's own.

    Raises SetupError if the address can't be had, ModelFileError if the model can't be loaded,
    SystemExit(1) when answers were cut off.
    """
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
    engine = EngineProcess(settings.engine)
    await engine.start()  # it loads the model while this process imports the HTTP side
    try:
        app = _application(settings, engine)
        app.router.routes += more_routes()
        server = DrainingServer(app, settings, engine)
        async with asyncio.TaskGroup() as tasks:
            http = tasks.create_task(server.serve(sockets=[listener]))
            ready = tasks.create_task(_announce(settings, engine, listener, started))
            warm = tasks.create_task(_warm(engine, server.service))
            await http
            ready.cancel()
            warm.cancel()
    except* ModelFileError as errors:
        raise errors.exceptions[0] from None
    finally:
        await engine.stop()
    return not server.cut_off


def _application(settings: ServerSettings, engine: EngineProcess) -> Starlette:
    from minikin.api.app import create_app
    from minikin.chat.template import ChatTemplate
    from minikin.engine.gguf import GGUFFile
    from minikin.engine.tokenizer import Tokenizer

    tokenizer = Tokenizer.from_gguf(GGUFFile.open(settings.engine.model).metadata)
    if tokenizer.chat_template is None:
        raise ModelFileError(
            f"{settings.engine.model.name} has no chat template, so it can't hold a conversation. "
            "Choose a model tuned for chat (an Instruct or Chat version)."
        )
    template = ChatTemplate(
        tokenizer.chat_template,
        tokenizer.control_tokens,
        bos=tokenizer.bos_token,
        eos=tokenizer.eos_token,
    )
    template.try_out()
    return create_app(settings, engine, tokenizer, template)


async def _warm(engine: EngineProcess, service: Service) -> None:
    """Start, once the model answers, what only some requests need."""
    with contextlib.suppress(MinikinError):
        await engine.wait_ready()
        await service.grammars.warm()


async def _announce(
    settings: ServerSettings, engine: EngineProcess, listener: socket.socket, started: float
) -> None:
    """Print the line that says where the server is, once it answers. Raises ModelFileError."""
    await engine.wait_ready()
    host, port = listener.getsockname()[:2]
    host = f"[{host}]" if ":" in host else host
    names = " and ".join((settings.model_id, *settings.aliases))
    print(
        f"Ready after {time.perf_counter() - started:.1f} s: {names} "
        f"at http://{host}:{port}/v1 (context of {engine.info.context_length} tokens)",
        flush=True,
    )


class DrainingServer(uvicorn.Server):
    """Uvicorn, except that the first signal lets running answers end before anything closes."""

    def __init__(self, app: Starlette, settings: ServerSettings, engine: EngineProcess) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=BoundedProtocol,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=1,
            )
        )
        self.cut_off = False
        self.service: Service = app.state.service
        self._engine = engine
        self._drain_seconds = settings.drain_seconds
        self._loop = asyncio.get_running_loop()
        self._drain: asyncio.Task[None] | None = None

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
            await self._engine.stop()  # so that what still runs ends with an error its client sees
        self.should_exit = True
