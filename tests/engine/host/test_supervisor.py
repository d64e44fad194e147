"""The supervisor of the engine's process, over a process that does what a test wants."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from minikin.config import EngineSettings
from minikin.engine.host import supervisor as module
from minikin.engine.host.supervisor import DIED, EngineSupervisor
from minikin.engine.messages import GenerationRequest, SamplingParams
from minikin.errors import (
    Cancelled,
    EngineFailure,
    EngineLost,
    ModelFileError,
    Overloaded,
    Quarantined,
    SetupError,
    ShuttingDown,
)
from tests.real_model import ROOT

from .scripted_worker import ANSWER, ANSWER_LATE, DIE, HANG, INFO


@pytest.fixture(autouse=True)
def scripted(monkeypatch):
    monkeypatch.setattr(module, "PROGRAM", "tests.engine.host.scripted_worker")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}{os.pathsep}{ROOT}")


@asynccontextmanager
async def engine(model="fine", **options):
    process = EngineSupervisor(EngineSettings(model=Path("/somewhere") / model), **options)
    await process.start()
    try:
        yield process
    finally:
        await process.stop()


def request(kind, *more):
    return GenerationRequest(
        id=os.urandom(4).hex(), prompt=[kind, *more], params=SamplingParams(max_tokens=4)
    )


async def answer(process, kind, *more):
    async with aclosing(process.generate(request(kind, *more))) as events:
        return "".join([event.text async for event in events])


async def again(process, kind, *more):
    """An answer from an engine that may just be restarting."""
    await process.wait_ready()
    return await answer(process, kind, *more)


async def test_an_engine_answers():
    async with engine() as process:
        assert not process.is_ready
        with pytest.raises(Overloaded):
            await answer(process, ANSWER)
        await process.wait_ready()
        assert process.info == INFO
        assert await answer(process, ANSWER) == "hi"


async def test_a_start_that_keeps_failing_is_given_up(caplog):
    async with engine("crash") as process:
        with pytest.raises(SetupError, match=r"cannot load crash: .*SIGABRT, 3 times in a row"):
            await process.wait_ready()
        assert "3 times" in (await process.given_up()).message
        assert not process.is_ready
        assert caplog.text.count("Restarting it") == 2


async def test_a_model_that_cannot_be_loaded_is_not_tried_again(caplog):
    async with engine("refuse") as process:
        with pytest.raises(ModelFileError, match=r"^It is broken\.$"):
            await process.wait_ready()
        assert await process.given_up()
        assert "Restarting it" not in caplog.text


async def test_a_dead_engine_ends_its_answers_and_comes_back():
    async with engine() as process:
        await process.wait_ready()
        both = await asyncio.gather(
            answer(process, DIE), answer(process, ANSWER), return_exceptions=True
        )
        assert [(type(error), str(error)) for error in both] == [(EngineLost, DIED)] * 2
        assert await again(process, ANSWER) == "hi"
        assert process.restarts == 1


async def test_a_cancelled_request_ends_with_an_error_and_the_engine_stays():
    async with engine("endless") as process:
        await process.wait_ready()
        running = asyncio.create_task(answer(process, ANSWER))
        while not process._streams:
            await asyncio.sleep(0.01)
        [identifier] = process._streams
        assert not process.cancel("another")
        assert process.cancel(identifier)
        with pytest.raises(Cancelled, match="operator"):
            await running
        assert not process._streams
        assert process.is_ready
        assert process.pid


async def test_another_model_in_place_of_the_first_is_not_served():
    async with engine("replaced") as process:
        await process.wait_ready()
        assert process._child
        process._child.send_signal(signal.SIGHUP)
        fault = await process.given_up()
        assert "replaced is another model than at the start" in fault.message
        with pytest.raises(SetupError):
            await process.wait_ready()


async def test_a_stop_is_not_a_crash():
    async with engine("endless") as process:
        await process.wait_ready()
        running = asyncio.create_task(answer(process, ANSWER))
        while not process._streams:
            await asyncio.sleep(0.01)
        await process.stop()
        for end in (running, answer(process, ANSWER), process.wait_ready()):
            with pytest.raises(ShuttingDown, match="shutting down"):
                await end


async def test_who_waits_for_an_engine_hears_of_its_stop():
    async with engine() as process:
        waiting = asyncio.create_task(process.wait_ready())
        await asyncio.sleep(0)
        await process.stop()
        with pytest.raises(ShuttingDown):
            await waiting


async def test_a_request_that_killed_the_engine_twice_is_not_run_again():
    async with engine() as process:
        for _ in range(2):
            with pytest.raises(EngineFailure, match="restarts now"):
                await again(process, DIE, 7)
        with pytest.raises(Quarantined) as raised:
            await again(process, DIE, 7)
        assert raised.value.code == "request_quarantined"
        assert await answer(process, ANSWER) == "hi", "others go on"
        with pytest.raises(EngineFailure, match="restarts now"):
            await answer(process, DIE, 8)


async def killed(process, sign):
    """How a request ends when a signal from outside ends the engine."""
    await process.wait_ready()
    running = asyncio.create_task(answer(process, HANG))
    while not process._streams:
        await asyncio.sleep(0.01)
    os.kill(process._child.pid, sign)
    with pytest.raises(EngineFailure) as raised:
        await running
    return str(raised.value)


async def test_a_request_that_runs_when_somebody_kills_the_engine_is_not_the_cause():
    async with engine() as process:
        for sign in (signal.SIGKILL, signal.SIGHUP, signal.SIGHUP, signal.SIGKILL, signal.SIGHUP):
            assert await killed(process, sign) == DIED
        assert await killed(process, signal.SIGKILL) == DIED
        await process.wait_ready()
        with pytest.raises(Quarantined):
            await answer(process, HANG)
        assert await answer(process, ANSWER) == "hi"


async def test_a_step_that_never_ends_is_ended():
    async with engine(stuck_seconds=3) as process:
        await process.wait_ready()
        with pytest.raises(EngineFailure, match="restarts now"):
            await answer(process, HANG)
        assert await again(process, ANSWER) == "hi"


async def test_a_stuck_engine_is_found_out_though_its_client_left():
    async with engine(stuck_seconds=3) as process:
        await process.wait_ready()
        events = process.generate(request(HANG))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(events), 0.1)
        child = process._child
        while process._child is child:
            await asyncio.sleep(0.05)
        assert await again(process, ANSWER) == "hi"


async def test_slow_is_not_stuck():
    # More than a busy machine may put a process aside.
    async with engine(stuck_seconds=4) as process:
        await process.wait_ready()
        child = process._child
        assert await answer(process, ANSWER_LATE) == "hi"
        await asyncio.sleep(4.5)
        assert process.is_ready, "idle is not stuck either"
        assert process._child is child, "and nothing to start again for"
