"""Several models over a socket: loaded when asked for, unloaded when unused."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import httpx
import pytest

from minikin.api.serving import model_pool
from minikin.api.serving.model_pool import ModelPool
from minikin.config import EngineSettings, ModelSettings
from minikin.errors import EngineFailure, ModelFileError, Overloaded, ShuttingDown
from tests.fakes import ScriptedEngine, served, settings
from tests.patience import PATIENCE


class Models:
    """Three models of 4 GB each, and what was done with them."""

    def __init__(self, **options):
        self.engines = {name: ScriptedEngine() for name in "abc"}
        self.faults = {}
        self.loads = []
        self.may_load = asyncio.Event()
        self.may_load.set()
        models = tuple(
            ModelSettings(
                id=name,
                engine=EngineSettings(model=Path(f"/secret/{name}.gguf")),
                aliases=("gpt-4.1-mini",) if name == "a" else (),
                memory=4,
            )
            for name in self.engines
        )
        self.options = {"models": models, **options}
        self.pool = ModelPool(self.settings(), self.load)

    def settings(self, **more):
        return settings(**self.options, **more)

    async def load(self, model):
        self.loads.append(model.id)
        await self.may_load.wait()
        if model.id in self.faults:
            raise self.faults[model.id]
        return served(self.engines[model.id])

    async def touch(self, name):
        async with self.pool.use(name) as model:
            return model

    def unloaded(self):
        return {name for name, engine in self.engines.items() if engine.stopped}


async def until(holds):
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.01)


async def test_loading_and_unloading_are_logged(caplog):
    caplog.set_level("INFO", "minikin")
    models = Models(unload_after=0.02)
    await models.touch("b")
    await until(lambda: "b" in models.unloaded())
    loading, loaded, unloading = caplog.messages
    assert (loading, unloading) == ("Loading b", "Unloading b")
    assert re.fullmatch(r"Loaded b in \d+\.\d s", loaded)


async def test_who_waits_for_a_model_hears_of_the_shutdown():
    models = Models()
    models.may_load.clear()
    waiting = [asyncio.create_task(models.touch(name)) for name in "ab"]
    await until(lambda: models.loads)
    await models.pool.stop()
    for end in (*waiting, models.touch("c")):
        with pytest.raises(ShuttingDown):
            await end
    assert models.loads == ["a"]


async def test_a_request_that_is_cancelled_while_it_waits_stays_cancelled():
    models = Models()
    models.may_load.clear()
    waiting = asyncio.create_task(models.touch("a"))
    await until(lambda: models.loads)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_model_is_loaded_once_when_it_is_first_asked_for():
    models = Models()
    assert list(models.pool.names) == ["a", "gpt-4.1-mini", "b", "c"]
    found = await asyncio.gather(*map(models.touch, ["b", "gpt-4.1-mini", "b", "a"]))
    assert models.loads == ["b", "a"]
    assert [model.engine for model in found] == [models.engines[name] for name in "baba"]
    assert models.unloaded() == set()
    await models.pool.stop()
    assert models.unloaded() == {"a", "b"}


async def test_a_request_waits_for_its_model_but_not_for_ever():
    models = Models(load_seconds=0.5)
    models.may_load.clear()
    with pytest.raises(Overloaded, match="'b' is not loaded yet"):
        await models.touch("b")
    models.may_load.set()
    assert await models.touch("b"), "the loading went on"
    assert models.loads == ["b"]
    models.engines["b"].is_ready = False
    with pytest.raises(Overloaded):
        await models.touch("b")


async def test_the_longest_unused_makes_room():
    models = Models(memory_budget=9)
    for name in "aba":
        await models.touch(name)
    await models.touch("c")
    assert models.unloaded() == {"b"}


async def test_a_model_in_use_is_not_unloaded_and_the_other_waits():
    models = Models(memory_budget=5, load_seconds=2)
    async with models.pool.use("a"):
        waiting = asyncio.create_task(models.touch("b"))
        await asyncio.sleep(0.05)
        assert not models.unloaded()
        assert models.loads == ["a"]
    await waiting
    assert models.unloaded() == {"a"}
    async with models.pool.use("b"):
        with pytest.raises(Overloaded):
            await models.touch("c")
    await asyncio.sleep(0.05)
    assert models.unloaded() == {"a"}, "nobody waits for c any more"
    assert await models.touch("c")


async def test_a_model_too_large_for_the_budget_is_tried_alone():
    models = Models(memory_budget=2)
    await models.touch("a")
    await models.touch("b")
    assert models.unloaded() == {"a"}


async def test_idle_models_leave_memory():
    models = Models(unload_after=0.1)
    async with models.pool.use("b"):
        await models.touch("a")
        await until(lambda: models.unloaded() == {"a"})
        await asyncio.sleep(0.2)
        assert models.unloaded() == {"a"}, "b is in use"
    assert models.pool.is_ready, "it comes back when it is asked for"
    await models.touch("a")
    assert models.loads == ["b", "a", "a"]
    await until(lambda: models.unloaded() == {"a", "b"})


async def test_a_failed_load_is_reported_and_tried_again_later(monkeypatch):
    monkeypatch.setattr(model_pool, "RETRY_SECONDS", 3600)
    models = Models()
    models.faults["b"] = ModelFileError("Cannot use the model file /secret/b.gguf: no.")
    for _ in range(2):
        with pytest.raises(EngineFailure) as raised:
            await models.touch("b")
    assert raised.value.message == (
        "Cannot load the model 'b': Cannot use the model file b.gguf: no."
    )
    assert raised.value.code == "model_load_failed"
    assert models.loads == ["b"]
    assert await models.touch("a")
    models.faults.clear()
    monkeypatch.setattr(model_pool, "RETRY_SECONDS", 0)
    assert await models.touch("b")


async def test_a_server_is_ready_without_its_first_model_if_it_has_others():
    models = Models()
    models.faults["a"] = ModelFileError("no")
    with pytest.raises(ModelFileError):
        await models.pool.first()
    assert models.pool.is_ready
    alone = settings(models=(models.pool.names["a"],))
    pool = ModelPool(alone, models.load)
    with pytest.raises(ModelFileError):
        await pool.first()
    assert not pool.is_ready


def test_several_models_over_http(serve):
    models = Models()
    server = serve(models.engines["a"], models=tuple(models.pool.names.values())[1:])
    listed = httpx.get(f"{server.url}/v1/models").json()["data"]
    assert [model["id"] for model in listed] == ["a", "gpt-4.1-mini", "b", "c"]
    ask = {"messages": [{"role": "user", "content": "Hi"}]}
    url = f"{server.url}/v1/chat/completions"
    for name in ("a", "c"):
        assert httpx.post(url, json=ask | {"model": name}).json()["model"] == name
    assert httpx.post(url, json=ask | {"model": "d"}).status_code == 404
    tokens = httpx.post(f"{server.url}/tokenize", json={"text": "x", "model": "b"})
    assert tokens.json()["ids"] == [120]
    assert httpx.post(f"{server.url}/tokenize", json={"text": "x", "model": "d"}).status_code == 404
