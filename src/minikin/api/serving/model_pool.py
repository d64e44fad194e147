"""Decides which models are in memory: loads them on request and unloads idle ones."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from minikin.config import ModelSettings, ServerSettings
from minikin.errors import EngineFailure, InvalidRequest, Overloaded, SetupError, ShuttingDown

if TYPE_CHECKING:
    from minikin.api.serving.served_model import ServedModel

log = logging.getLogger(__name__)

RETRY_SECONDS = 30.0
"""After this time, the next request tries again to load a model that failed to load."""
State = Literal["unloaded", "loading", "ready", "restarting", "failed"]
"""`restarting`: the engine of a loaded model is not ready."""
Load = Callable[[ModelSettings], "Awaitable[ServedModel]"]


@dataclass(eq=False)
class _Place:
    """One model of the server, in memory or not."""

    settings: ModelSettings
    task: asyncio.Task[ServedModel] | None = None
    """The task that loads it, finished or not. None if it is neither in memory nor loading."""
    users: int = 0
    """Requests that use it or wait for it. It stays in memory while there are any."""
    used_at: float = 0.0
    failed_at: float | None = None
    """The time of the first failed load."""

    @property
    def model(self) -> ServedModel | None:
        """The model, if it is in memory."""
        task = self.task
        if task is None or not task.done() or task.cancelled() or task.exception():
            return None
        return task.result()


class ModelPool:
    """The server's models by name. `load` loads one."""

    def __init__(self, settings: ServerSettings, load: Load) -> None:
        self._settings = settings
        self._load = load
        self._places = [_Place(model) for model in settings.models]
        self._by_name = {name: place for place in self._places for name in place.settings.names}
        self._loading = asyncio.Lock()
        self._unused = asyncio.Event()
        """Set when a model loses its last user."""
        self.is_short = False
        """Whether a request waits until other models are not in use any more."""
        self.is_stopped = False
        self._unloading: set[asyncio.Task[None]] = set()

    @property
    def names(self) -> dict[str, ModelSettings]:
        """All names of all models."""
        return {name: place.settings for name, place in self._by_name.items()}

    @property
    def loaded(self) -> dict[str, ServedModel | None]:
        """The models by id. None: not in memory."""
        return {place.settings.id: place.model for place in self._places}

    @property
    def is_ready(self) -> bool:
        """Whether the first model is ready or unloaded, or failed while there are others."""
        first, *others = self._places
        if first.task is None:
            return True
        if first.model:
            return first.model.engine.is_ready
        return first.task.done() and bool(others)

    async def context_length(self, name: str) -> int | None:
        """Tokens of prompt and answer together, which the model of that name takes at most.

        None: it is not loaded, and its file cannot be read.
        """
        place = self._by_name[name]
        if place.model and place.model.engine.is_ready:
            return place.model.engine.info.context_length
        return await asyncio.to_thread(_stated, place.settings)

    def sampling(self, name: str) -> dict[str, float]:
        """The sampling defaults of the model of that name, as far as they are known."""
        place = self._by_name[name]
        if place.model:
            return dict(place.model.sampling)
        return {} if place.settings.sampling == "openai" else place.settings.known_sampling

    def state(self, name: str) -> State:
        """What the model with this id does."""
        place = self._by_name[name]
        if place.model:
            return "ready" if place.model.engine.is_ready else "restarting"
        if place.task is None:
            return "unloaded"
        return "failed" if place.task.done() else "loading"

    async def load(self, name: str) -> None:
        """Begin to load the model with this id, if it is not in memory. Raises ShuttingDown."""
        place = self._by_name[name]
        if self.is_stopped:
            raise ShuttingDown
        if self.state(name) == "failed":
            place.failed_at = None
            await self._unload(place)
        self._begin(place)

    async def unload(self, name: str) -> None:
        """Remove the model with this id from memory. Raises InvalidRequest while it is in use."""
        place = self._by_name[name]
        if place.users:
            raise InvalidRequest(f"Requests use the model '{place.settings.id}'.", code="in_use")
        await self._unload(place)

    def first(self) -> asyncio.Task[ServedModel]:
        """The task that loads the first model. It is started if necessary. Raises SetupError."""
        return self._begin(self._places[0])

    @asynccontextmanager
    async def use(self, name: str) -> AsyncIterator[ServedModel]:
        """The model with this name. It stays in memory while the block runs.

        Waits until the model is loaded, and until models in use leave room for it. Raises
        Overloaded if this takes too long, EngineFailure if the model cannot be loaded, ShuttingDown
        after `stop`.
        """
        place = self._by_name[name]
        place.users += 1
        try:
            yield await self._ready(place)
        finally:
            place.users -= 1
            place.used_at = _now()
            if not place.users:
                self._unused.set()
                self._unload_later(place)

    async def stop(self) -> None:
        """Unload all models. Requests that use them or wait for them end with ShuttingDown."""
        self.is_stopped = True
        await asyncio.gather(*map(self._unload, self._places))

    async def _ready(self, place: _Place) -> ServedModel:
        if self.is_stopped:
            raise ShuttingDown
        if place.failed_at is not None and _now() - place.failed_at > RETRY_SECONDS:
            place.failed_at = None
            await self._unload(place)
        try:
            async with asyncio.timeout(self._settings.load_seconds):
                # Loading continues if this request gives up.
                model = await asyncio.shield(self._begin(place))
                await model.engine.wait_ready()
                return model
        except TimeoutError:
            raise Overloaded(
                f"The model '{place.settings.id}' is not loaded yet. Try again in a moment."
            ) from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task and task.cancelling():
                raise
            raise ShuttingDown from None  # not this request was cancelled, but the loading
        except SetupError as error:
            place.failed_at = place.failed_at or _now()
            file = place.settings.engine.model
            reason = error.message.replace(str(file), file.name)
            raise EngineFailure(
                f"Cannot load the model '{place.settings.id}': {reason}",
                code="model_load_failed",
            ) from error

    def _begin(self, place: _Place) -> asyncio.Task[ServedModel]:
        if place.task is None:
            place.task = asyncio.create_task(self._bring(place))
            # Waiting requests get the error, if there are any.
            place.task.add_done_callback(lambda task: task.cancelled() or task.exception())
        return place.task

    async def _bring(self, place: _Place) -> ServedModel:
        """Loads one model at a time, so that each sees the room that the last one left."""
        try:
            async with self._loading:
                await self._make_room(place)
                started = _now()
                log.info("Loading %s", place.settings.id)
                model = await self._load(place.settings)
                place.used_at = _now()
                log.info("Loaded %s in %.1f s", place.settings.id, place.used_at - started)
                self._unload_later(place)
                return model
        except Overloaded:
            place.task = None
            raise

    async def _make_room(self, place: _Place) -> None:
        """Unload idle models, the least recently used first, until `place` fits the budget.

        If all models are in use, it waits while requests wait for `place`. A model that exceeds the
        budget alone is loaded anyway.
        """
        budget = self._settings.memory_budget
        while budget is not None:
            loaded = [other for other in self._places if other.model]
            if not loaded or place.settings.memory + _memory(loaded) <= budget:
                return
            if unused := [other for other in loaded if not other.users]:
                await self._unload(min(unused, key=lambda other: other.used_at))
                continue
            self._unused.clear()
            self.is_short = True
            try:
                await self._unused.wait()
            finally:
                self.is_short = False
            if not place.users:
                raise Overloaded("Other models are in use, and memory is short.")

    def _unload_later(self, place: _Place) -> None:
        """Unload `place` if it was not used again until then."""
        after = self._settings.unload_after
        if after is None:
            return
        used_at = place.used_at

        def unload() -> None:
            if not place.users and place.used_at == used_at:
                task = asyncio.create_task(self._unload(place))
                self._unloading.add(task)
                task.add_done_callback(self._unloading.discard)

        asyncio.get_running_loop().call_later(after, unload)

    async def _unload(self, place: _Place) -> None:
        task, place.task = place.task, None
        if task is None:
            return
        task.cancel()  # no effect on a finished task
        await asyncio.wait([task])
        if not task.cancelled() and not task.exception():
            log.info("Unloading %s", place.settings.id)
            await task.result().stop()


def _memory(places: list[_Place]) -> int:
    return sum(place.settings.memory for place in places)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _stated(settings: ModelSettings) -> int | None:
    from minikin.api.serving.window import stated_context_length

    return stated_context_length(settings.engine)
