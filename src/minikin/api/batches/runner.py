"""Runs the batches of a server in the background, from any state that an earlier server left.

Each finished line is in the database before the next begins, and the files of a batch appear in the
transaction that ends it. So a server that is killed loses no finished line, and no line is twice in
the files.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from minikin.api.batches.batch_run import BatchRun
from minikin.api.batches.call import Endpoint
from minikin.errors import StoreFailure
from minikin.periodic import Periodic

if TYPE_CHECKING:
    from minikin.store.store import Store

log = logging.getLogger(__name__)

MAX_RUNNING = 32
"""Lines of all batches that run at the same time. Batches take turns."""
POLL_SECONDS = 10.0
"""How often the runner looks for batches whose server has ended, and for cancelled ones."""


class BatchRunner:
    """One task for each batch that has not ended. `endpoints` are the routes for their lines."""

    def __init__(
        self,
        open_store: Callable[[], Store],
        endpoints: Mapping[str, Endpoint],
        *,
        max_line_bytes: int,
    ) -> None:
        self._open_store = open_store
        self._endpoints = endpoints
        self._max_line_bytes = max_line_bytes
        self._places = asyncio.Semaphore(MAX_RUNNING)
        self._runs: dict[str, tuple[BatchRun, asyncio.Task[None]]] = {}
        self._looking = Periodic(self._look, POLL_SECONDS, "Batches do not run")

    def start(self) -> None:
        """Start to run batches."""
        self._looking.start()

    def wake(self) -> None:
        """Look for new and for cancelled batches now."""
        self._looking.wake()

    async def stop(self) -> None:
        """Stop. Lines that run now run again after the next start."""
        await self._looking.stop()
        tasks = [task for _, task in self._runs.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _look(self) -> None:
        """Start a task for each new batch, and end the lines of each cancelled one.

        A batch that another server has taken over ends here.
        """
        store = self._open_store()
        if not store.database.exists:
            return
        await store.batches.take_over()
        known = dict(self._runs)
        if known:
            await store.runner.appear()
        mine = await store.batches.mine()
        for batch_id in known.keys() - {batch.id for batch in mine}:
            known[batch_id][1].cancel()
        for batch in mine:
            if batch.id in self._runs:
                if batch.body["status"] == "cancelling":
                    self._runs[batch.id][0].cancel()
            elif batch.id not in known:  # a known one has ended since it was looked up
                run = BatchRun(store, batch, self._endpoints, self._places, self._max_line_bytes)
                task = asyncio.create_task(self._run(run, batch.id))
                self._runs[batch.id] = run, task

    async def _run(self, run: BatchRun, identifier: str) -> None:
        try:
            await run.run()
        except StoreFailure as failure:
            log.error("Batch %s stopped: %s. It continues later", identifier, failure.reason)
        except Exception:
            log.exception("Batch %s stopped. It continues later", identifier)
        finally:
            del self._runs[identifier]
