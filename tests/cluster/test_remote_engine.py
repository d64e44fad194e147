"""The edge's side of engines, with replicas that are lost and come back as the test says."""

from __future__ import annotations

import asyncio
import pickle
import warnings
from contextlib import aclosing
from types import SimpleNamespace

import pytest

from minikin.engine.messages import Event, GenerationRequest, SamplingParams
from minikin.errors import EngineLost

pytest.importorskip("ray")

with warnings.catch_warnings(action="ignore"):  # Ray's own use of Pydantic
    from ray.exceptions import RayError
    from ray.serve._private.common import DeploymentID
    from ray.serve.config import RequestRouterConfig

    from minikin.cluster import remote_engine
    from minikin.cluster.frames import Events, Taken, encode
    from minikin.cluster.remote_engine import RemoteEngine
    from minikin.cluster.router import BoundedHashRouter
    from minikin.cluster.routers import routers

REQUEST = GenerationRequest(id="a", prompt=[1], params=SamplingParams(max_tokens=9), n=1)


class Handle:
    """A deployment. Each call runs the next of the scripts."""

    deployment_name = "engine-test"

    def __init__(self, *scripts):
        self._scripts = iter(scripts)

    def options(self, **_):
        return self

    def remote(self, _):
        return Answer(next(self._scripts)())


class Answer:
    """A stream of frames, as Ray's, which can be cancelled."""

    def __init__(self, frames):
        self._frames = frames
        self._next = None

    def __aiter__(self):
        return self

    async def __anext__(self):
        self._next = asyncio.ensure_future(anext(self._frames))
        return await self._next

    def cancel(self):
        if self._next:
            self._next.cancel()


def token(number, **end):
    return encode(Events([Event(id="a", index=0, text="x", tokens=(number,), **end)]))


async def lost_after_a_token():
    yield encode(Taken("a"))
    yield token(1)
    raise RayError


async def whole():
    yield encode(Taken("a"))
    yield token(2, finish_reason="stop")


@pytest.fixture
def left(monkeypatch):
    """The replicas that the router knows."""
    replicas = [SimpleNamespace(unique_id="a")]
    monkeypatch.setitem(routers, Handle.deployment_name, SimpleNamespace(curr_replicas=replicas))
    return replicas


async def tokens(engine):
    found = []
    async with aclosing(engine.generate(REQUEST)) as events:
        async for event in events:
            found += event.tokens
    return found


async def test_another_replica_continues_an_answer(left):
    assert await tokens(RemoteEngine(Handle(lost_after_a_token, whole))) == [1, 2]


async def test_an_answer_does_not_wait_for_a_new_replica_when_the_last_is_lost_too(left):
    """The router notices the second loss only while it asks that replica."""

    async def never():
        left.clear()
        await asyncio.Event().wait()
        yield b""

    with pytest.raises(EngineLost):
        await asyncio.wait_for(tokens(RemoteEngine(Handle(lost_after_a_token, never))), 30)


async def test_a_replica_that_is_silent_and_takes_no_requests_is_lost(left, monkeypatch):
    """So it is if the link to its machine is cut: its stream does not end."""
    monkeypatch.setattr(remote_engine, "SILENT_SECONDS", 0.2)

    async def silent():
        yield encode(Taken("b"))
        yield token(1)
        await asyncio.Event().wait()

    engine = RemoteEngine(Handle(silent, whole))
    watching = asyncio.create_task(engine._watch())
    assert await asyncio.wait_for(tokens(engine), 30) == [1, 2]
    watching.cancel()


async def test_a_replica_that_only_computes_for_long_is_not_lost(left, monkeypatch):
    monkeypatch.setattr(remote_engine, "SILENT_SECONDS", 0.1)

    async def slow():
        yield encode(Taken("a"))
        await asyncio.sleep(1)
        yield token(2, finish_reason="stop")

    engine = RemoteEngine(Handle(slow))
    watching = asyncio.create_task(engine._watch())
    assert await tokens(engine) == [2]
    watching.cancel()


async def test_a_request_without_an_answer_so_far_waits_for_a_new_replica(left):
    left.clear()

    async def late():
        await asyncio.sleep(0.3)
        async for frame in whole():
            yield frame

    assert await tokens(RemoteEngine(Handle(late))) == [2]


def test_the_router_that_ray_copies_is_found(monkeypatch):
    """Ray Serve pickles the module of the class by value."""
    path = f"{BoundedHashRouter.__module__}.{BoundedHashRouter.__name__}"
    copied = RequestRouterConfig(request_router_class=path)
    copied = pickle.loads(pickle.dumps(copied)).get_request_router_class()
    router = object.__new__(copied)
    router._deployment_id = DeploymentID(name="engine-copied", app_name="minikin")
    monkeypatch.delitem(routers, "engine-copied", raising=False)
    router.initialize_state()
    assert routers.pop("engine-copied") is router
