"""What a server needs of an engine, wherever the engine runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from minikin.engine.messages import EngineStats, Event, GenerationRequest, ModelInfo
from minikin.errors import SetupError


class EngineClient(Protocol):
    """An engine in a process of this machine (`EngineSupervisor`), or on others."""

    @property
    def stats(self) -> EngineStats:
        """What the engine did at its last report."""
        ...

    @property
    def restarts(self) -> int:
        """How often it was restarted."""
        ...

    @property
    def pid(self) -> int | None:
        """The id of its process, if it is one of this machine that runs now."""
        ...

    @property
    def is_ready(self) -> bool:
        """Whether the model is ready."""
        ...

    @property
    def info(self) -> ModelInfo:
        """The loaded model. Raises Overloaded before the first load."""
        ...

    async def start(self) -> None:
        """Start it. It loads in parallel to the caller."""
        ...

    async def wait_ready(self) -> None:
        """Wait until the model is ready. Raises SetupError or ShuttingDown."""
        ...

    async def given_up(self) -> SetupError:
        """Wait until the engine cannot start any more. Returns the reason."""
        ...

    async def stop(self) -> None:
        """Stop it. Running and waiting requests end with ShuttingDown."""
        ...

    def cancel(self, identifier: str) -> bool:
        """End a running request with Cancelled. Returns whether there is such a request."""
        ...

    def generate(self, request: GenerationRequest) -> AsyncGenerator[Event, None]:
        """The events of all choices of the request. To cancel it, close the generator."""
        ...
