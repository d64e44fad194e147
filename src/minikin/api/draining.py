"""Uvicorn with BoundedProtocol, which ends when its answers are finished."""

from __future__ import annotations

import asyncio
import logging
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from minikin.api.http.protocol import KEEP_ALIVE_SECONDS, BoundedProtocol
from minikin.config import ServerSettings

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from minikin.api.serving.service import Service

log = logging.getLogger(__name__)


class DrainingServer(uvicorn.Server):
    """Uvicorn, but after the first signal, running answers finish before anything closes."""

    def __init__(self, app: Starlette, settings: ServerSettings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=BoundedProtocol,
                ws="none",
                lifespan="off",  # `_serve` does its work, also after a forced stop
                log_config=None,
                access_log=False,
                server_header=False,
                ssl_certfile=settings.tls_certificate,
                ssl_keyfile=settings.tls_key,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=1,
            )
        )
        self.service: Service = app.state.service
        self._drain_seconds = settings.drain_seconds
        self._loop = asyncio.get_running_loop()
        self._drain: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        """Set at the second signal."""

    def end_if_failed(self, watch: asyncio.Task[None]) -> None:
        """Stop immediately if the finished task `watch` failed."""
        if not watch.cancelled() and watch.exception():
            self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Signal handler: drain at the first signal, end all answers at the second."""
        again, self.service.draining = self.service.draining, True
        self._loop.call_soon_threadsafe(self._hurry.set if again else self._begin_drain)

    def _begin_drain(self) -> None:
        running = self.service.in_flight
        log.info("Draining: %d request%s in flight", running, "" if running == 1 else "s")
        self._drain = asyncio.create_task(self._finish())

    async def _finish(self) -> None:
        service = self.service
        reasons = [asyncio.create_task(event.wait()) for event in (service.idle, self._hurry)]
        await asyncio.wait(
            reasons, timeout=self._drain_seconds, return_when=asyncio.FIRST_COMPLETED
        )
        for reason in reasons:
            reason.cancel()
        if service.in_flight:
            log.warning("Ending %d requests in flight", service.in_flight)
            # Each running answer ends with an error that its client sees.
            await service.models.stop()
        self.should_exit = True
