"""`minikin serve`: one process for HTTP and one for each model, from start to the last answer."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvloop

from minikin.api.serving.loading import load_model
from minikin.api.serving.model_pool import ModelPool
from minikin.api.welcome import base_url, is_open, welcome
from minikin.config import ServerSettings
from minikin.errors import SetupError
from minikin.memory import lasting

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from minikin.api.app import MoreRoutes

log = logging.getLogger(__name__)

BACKLOG = 1024
_LOCK_SECONDS = 0.001
"""How long a thread with large work keeps Python's lock while the event loop waits for it. The
default, 5 ms, counts for each of these threads."""
_PROBES = {"TCP_KEEPIDLE": 60, "TCP_KEEPALIVE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""Seconds of silence before the first probe (the second name is macOS's), seconds between two, and
how many go unanswered."""
_NO_KEYS = (
    "WARNING: Other machines can use this server without an API key. To require one, start it "
    "with: --api-key-file FILE"
)


def serve(settings: ServerSettings, more_routes: Callable[[], MoreRoutes]) -> None:
    """Serve until a signal. The first SIGTERM or SIGINT drains, the second ends all answers.

    `more_routes` returns routes to serve in addition to those of the API.

    Raises SetupError if the address or the store cannot be used, or if the only model cannot be
    loaded.
    """
    _check_store(settings)
    check_tls(settings)
    listener = listen(settings)
    if is_open(listener) and not settings.needs_key:
        log.warning(_NO_KEYS)
    sys.setswitchinterval(_LOCK_SECONDS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_serve(settings, listener, more_routes))
        finally:
            # The end of the loop waits for its threads. They need the loop to say that they ended.
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def _check_store(settings: ServerSettings) -> None:
    """Raise SetupError if a location that the user names cannot be used."""
    # Without such a location, the database's library is imported after the first model is ready,
    # because that takes as long as all imports of the engine.
    with _unlogged("minikin.store"):  # its errors stop the command, which prints them
        if settings.database:
            from minikin.store.database import check_database

            check_database(settings.database)
        if settings.files:
            from minikin.store.contents import Contents

            Contents(settings.files).check()


@contextmanager
def _unlogged(name: str) -> Iterator[None]:
    """Log nothing of the modules below `name` while the block runs."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


def check_tls(settings: ServerSettings) -> None:
    """Raise SetupError if the certificate or its key cannot be used."""
    certificate, key = settings.tls_certificate, settings.tls_key
    if certificate is None:
        if key:
            raise SetupError("--tls-key needs --tls-certificate.")
        return
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    except OSError as error:  # ssl.SSLError is one
        raise SetupError(
            f"Cannot use the certificate {certificate} with its key: {error.strerror or error}."
        ) from error


def listen(settings: ServerSettings) -> socket.socket:
    """A socket at the server's address. Its connections notice a client that vanished.

    Raises SetupError.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        address = (settings.host, settings.port)
        listener = socket.create_server(address, family=family, backlog=BACKLOG)
    except OSError as error:
        raise SetupError(
            f"Cannot listen on {settings.host}, port {settings.port}: {error.strerror}. "
            "Set another address with --host and --port."
        ) from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _PROBES.items():
        if hasattr(socket, option):
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return listener


async def _serve(
    settings: ServerSettings, listener: socket.socket, more_routes: Callable[[], MoreRoutes]
) -> None:
    started = time.perf_counter()
    models = ModelPool(settings, load_model)
    models.first()
    try:
        # In a thread, so that the engine process starts while this process imports the HTTP code.
        app = await asyncio.to_thread(_application, settings, models, more_routes)
        from minikin.api.draining import DrainingServer

        server = DrainingServer(app, settings)
        watch = asyncio.create_task(_announce(settings, models, listener, started))
        watch.add_done_callback(lambda _: server.end_if_failed(watch))
        server.service.start()
        try:
            await server.serve(sockets=[listener])
        finally:
            await server.service.stop()
        if not watch.cancel() and not watch.cancelled() and (error := watch.exception()):
            raise error
    finally:
        await models.stop()


def _application(
    settings: ServerSettings, models: ModelPool, more_routes: Callable[[], MoreRoutes]
) -> Starlette:
    with lasting():
        from minikin.api.app import create_app

        return create_app(settings, models, more_routes())


async def _announce(
    settings: ServerSettings, models: ModelPool, listener: socket.socket, started: float
) -> None:
    """Print where the server is, and what to do next, when its first model is ready.

    Raises SetupError if the only model cannot be loaded, now or after a crash.
    """
    where = base_url(listener, tls=settings.tls_certificate is not None)
    names = ", ".join(models.names)
    try:
        model = await models.first()
        seconds, window = time.perf_counter() - started, model.engine.info.context_length
        served = f"{names} at {where} (context of {window} tokens)"
        print(f"Ready after {seconds:.1f} s: {served}", flush=True)
        if settings.log_level in ("debug", "info"):
            print(f"\n{welcome(settings, where)}\n", flush=True)
        raise await model.engine.given_up()
    except SetupError as error:
        if len(settings.models) == 1:
            raise
        first = settings.models[0].id
        log.error("Cannot load %s: %s", first, error.message)
        log.error("Serving %s at %s", names, where)
