"""The engine's process over a scripted model: what it does between requests."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import subprocess
import sys

import pytest

from minikin.bounded.frames import read_frame
from minikin.config import EngineSettings
from minikin.engine.host import supervisor as module
from minikin.engine.host.channel import Load, Submit, frame
from minikin.engine.host.supervisor import EngineSupervisor
from minikin.engine.messages import EngineStats
from tests.engine.fakes import answer, request
from tests.patience import PATIENCE
from tests.real_model import ROOT


@pytest.fixture(autouse=True)
def scripted(monkeypatch):
    monkeypatch.setattr(module, "PROGRAM", "tests.engine.host.idle_worker")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}{os.pathsep}{ROOT}")


@pytest.fixture
async def engine(tmp_path):
    process = EngineSupervisor(EngineSettings(model=tmp_path / "corrupt"))
    yield process
    await process.stop()


async def generated(engine, prompt):
    return "".join([event.text async for event in engine.generate(request(prompt))])


async def test_an_idle_engine_stays(engine, caplog):
    await engine.start()
    await engine.wait_ready()
    for prompt in ("one", "two"):
        assert await generated(engine, prompt) == answer(prompt)
        await asyncio.sleep(0.1)
    assert engine.is_ready
    assert caplog.text == ""


async def test_an_idle_engine_prepares_the_next_turn_by_itself(engine):
    await engine.start()
    await engine.wait_ready()
    cached = 0
    for pause in (0.1, 1, 10):
        prompt = f"{pause} " + "z" * 96
        said = "".join([e.text async for e in engine.generate(request(prompt, max_tokens=60))])
        await asyncio.sleep(pause)
        turn = [e async for e in engine.generate(request(prompt + said + "more"))]
        cached = turn[-1].usage.cached_tokens
        if cached == 128:
            break
    assert cached == 128, "the prompt alone is 96"


async def test_it_reports_what_it_does_and_that_it_is_idle(engine):
    await engine.start()
    await engine.wait_ready()
    seen = [EngineStats()]
    # It reports twice a second, and an answer takes less.
    while max(stats.running for stats in seen) == 0:
        seen += [engine.stats async for _ in engine.generate(request("one", max_tokens=40))]
    assert max(stats.running for stats in seen) == 1
    assert max(stats.cache_used for stats in seen) > 0
    while engine.stats != EngineStats():
        await asyncio.sleep(0.01)


async def test_ctrl_c_in_the_terminal_is_for_the_server(engine):
    await engine.start()
    assert os.getpgid(engine._child.pid) != os.getpgid(0), "the terminal signals a whole group"


@pytest.mark.parametrize("unread", [False, True], ids=["idle", "with unread reports"])
def test_it_ends_when_its_server_is_killed(tmp_path, unread):
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", module.PROGRAM, str(theirs.fileno()), "error"]
    with ours, theirs, subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=ROOT) as engine:
        theirs.close()
        ours.sendall(frame(Load(EngineSettings(model=tmp_path / "model"))))
        with ours.makefile("rb", buffering=0) as reports:
            read_frame(reports)
        if unread:
            ours.sendall(frame(Submit(request("one"))))
            select.select([ours], [], [], PATIENCE)
        ours.close()
        try:
            engine.wait(PATIENCE)
        finally:
            engine.kill()


def test_it_ends_quietly_if_its_server_stops_while_it_loads(tmp_path):
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", module.PROGRAM, str(theirs.fileno()), "error"]
    ours.sendall(frame(Load(EngineSettings(model=tmp_path / "model"))))
    with theirs:
        fds = [theirs.fileno()]
        ended = subprocess.Popen(command, pass_fds=fds, cwd=ROOT, stderr=subprocess.PIPE)
    ours.close()
    _, said = ended.communicate(timeout=PATIENCE)
    assert (ended.returncode, said) == (0, b"")


@pytest.mark.parametrize("level", ["DEBUG", "INFO"])
async def test_it_logs_as_much_as_the_server(engine, caplog, capfd, level):
    caplog.set_level(level, "minikin")
    await engine.start()
    await engine.wait_ready()
    await generated(engine, "one")
    logged = capfd.readouterr().err
    assert ("engine: DEBUG r: 3 prompt tokens" in logged) == (level == "DEBUG")


async def test_an_engine_whose_cache_is_corrupt_is_replaced(engine, caplog, capfd):
    engine.settings.model.touch()
    await engine.start()
    await engine.wait_ready()
    while "Restarting it" not in caplog.text:
        await asyncio.sleep(0.01)
    await engine.wait_ready()
    assert await generated(engine, "one") == answer("one")
    assert "idle blocks and blocks without users differ at block 3" in capfd.readouterr().err
    assert caplog.text.count("Restarting it") == 1
