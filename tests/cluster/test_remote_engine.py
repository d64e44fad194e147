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

    from minikin.cluster.frames import Events, encode
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

    def __aiter__(self):
        return self

    async def __anext__(self):
        return await anext(self._frames)

    def cancel(self):
        pass


def token(number, **end):
    return encode(Events([Event(id="a", index=0, text="x", tokens=(number,), **end)]))


async def lost_after_a_token():
    yield encode(Events([]))
    yield token(1)
    raise RayError


async def whole():
    yield encode(Events([]))
    yield token(2, finish_reason="stop")


@pytest.fixture
def left(monkeypatch):
    """The replicas that the router knows."""
    replicas = {"a": 1}
    monkeypatch.setitem(routers, Handle.deployment_name, SimpleNamespace(curr_replicas=replicas))
    return replicas


async def tokens(handle):
    found = []
    async with aclosing(RemoteEngine(handle).generate(REQUEST)) as events:
        async for event in events:
            found += event.tokens
    return found


async def test_another_replica_continues_an_answer(left):
    assert await tokens(Handle(lost_after_a_token, whole)) == [1, 2]


async def test_an_answer_does_not_wait_for_a_new_replica_when_the_last_is_lost_too(left):
    """The router notices the second loss only while it asks that replica."""

    async def never():
        left.clear()
        await asyncio.Event().wait()
        yield b""

    with pytest.raises(EngineLost):
        await asyncio.wait_for(tokens(Handle(lost_after_a_token, never)), 30)


async def test_a_request_without_an_answer_so_far_waits_for_a_new_replica(left):
    left.clear()

    async def late():
        await asyncio.sleep(0.3)
        async for frame in whole():
            yield frame

    assert await tokens(Handle(late)) == [2]


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
