"""The deployment of a model's engines. Each replica has one, in a process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec
from ray import serve

from minikin.cluster.frames import Events, Failed, Taken, encode
from minikin.config import EngineSettings
from minikin.engine.host.supervisor import EngineSupervisor
from minikin.engine.messages import GenerationRequest
from minikin.errors import MinikinError

_request = msgspec.msgpack.Decoder(GenerationRequest).decode


class EngineReplica:
    """One engine, as a deployment of Ray Serve."""

    async def __init__(self, settings: EngineSettings) -> None:
        """Returns when the model is ready, so that the replica gets no request before."""
        self._engine = EngineSupervisor(settings)
        await self._engine.start()
        try:
            await self._engine.wait_ready()
        except BaseException:
            await self._engine.stop()
            raise
        self._given_up = asyncio.create_task(self._engine.given_up())

    async def info(self) -> bytes:
        """The ModelInfo, as msgpack."""
        return encode(self._engine.info)

    async def generate(self, body: bytes) -> AsyncGenerator[bytes, None]:
        """The frames of the answer to a GenerationRequest. The first one names this replica."""
        yield encode(Taken(serve.get_replica_context().replica_tag))
        try:
            await self._engine.wait_ready()
            async with aclosing(self._engine.generate(_request(body))) as events:
                async for event in events:
                    yield encode(Events([event]))
        except MinikinError as error:
            yield encode(Failed.of(error))

    async def check_health(self) -> None:
        """Called by Ray Serve, which replaces a replica that raises."""
        if self._given_up.done():
            raise self._given_up.result()

    async def __del__(self) -> None:
        """Called by Ray Serve at the end of the replica."""
        self._given_up.cancel()
        await self._engine.stop()
