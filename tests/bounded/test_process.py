"""Every failure of a worker is reported to its caller, and the next task is answered."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager

import msgspec
import pytest

from minikin.bounded import process as process_module
from minikin.bounded.limits import Limits
from minikin.bounded.process import BoundedProcess, WorkerLost, WorkerNotReady
from tests.real_model import ROOT

WORKER = "tests.bounded.scripted_worker"


@pytest.fixture(autouse=True)
def path(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@asynccontextmanager
async def worker(setup="fine", **limits):
    limits = Limits(**{"seconds": 0.3, **limits})
    process = BoundedProcess(WORKER, lambda: msgspec.json.encode(setup), limits)
    try:
        yield process
    finally:
        await process.stop()


async def test_one_process_answers_one_task_after_the_other():
    async with worker() as process:
        assert await process.ask("echo é", str) == "é"
        first = process.pid
        assert await process.ask("echo " + "x" * 1_000_000, str) == "x" * 1_000_000
        assert process.pid == first


async def test_its_output_does_not_mix_with_its_answers():
    async with worker() as process:
        assert await process.ask("print", str) == "printed"
        assert await process.ask("echo a", str) == "a"


@pytest.mark.parametrize("level", ["DEBUG", "WARNING"])
async def test_it_logs_at_the_level_of_its_caller(caplog, capfd, level):
    caplog.set_level(level, "minikin")
    async with worker() as process:
        assert await process.ask("log", str) == "logged"
    logged = capfd.readouterr().err
    assert "worker: WARNING a warning\\n" in logged
    assert ("worker: DEBUG a detail" in logged) == (level == "DEBUG")


@pytest.mark.parametrize("task", ["die", "spin", "one call", "memory", "hang", "rubbish", "echo"])
async def test_a_worker_that_exceeds_a_limit_is_replaced(task):
    # A plain echo answers text where a number is wanted.
    patience = 2.0 if task == "hang" else 60.0
    async with worker(patience=patience) as process:
        await process.start()
        with pytest.raises(WorkerLost):
            await process.ask(task, int)
        assert process.pid is None
        assert await process.ask("echo well", str) == "well"


@pytest.mark.parametrize("word", ["start", "task"])
async def test_its_caller_limits_its_memory_where_the_system_does_not(monkeypatch, word):
    monkeypatch.setattr(process_module, "MEMORY_IS_LIMITED", False)
    if word == "start":
        async with worker("grow", memory=100_000_000) as process:
            with pytest.raises(WorkerNotReady):
                await process.start()
        return
    async with worker(memory=100_000_000) as process:
        assert await process.ask("echo well", str) == "well"
        with pytest.raises(WorkerLost):
            await process.ask("grow", str)
        assert not process._was_killed, "or it would run again"
        assert await process.ask("echo well", str) == "well"


async def test_it_may_say_itself_that_its_time_was_up():
    async with worker() as process:
        assert await process.ask("catch", str) == "it ran over 0.3 s."
        assert await process.ask("echo well", str) == "well"


async def test_a_worker_that_died_between_two_tasks_is_replaced():
    async with worker() as process:
        await process.start()
        os.kill(process.pid, 9)
        await process._process.wait()
        assert await process.ask("echo well", str) == "well"


async def test_a_task_whose_worker_is_killed_from_outside_runs_once_more(tmp_path):
    async with worker() as process:
        assert await process.ask(f"kill once {tmp_path / 'task'}", str) == "done"
        with pytest.raises(WorkerLost):
            await process.ask("kill", str)
        assert await process.ask("echo well", str) == "well"


async def test_a_worker_that_is_killed_from_outside_while_it_starts_starts_once_more(tmp_path):
    async with worker(f"kill once {tmp_path / 'setup'}") as process:
        assert await process.ask("echo well", str) == "well"
    async with worker(f"kill once {tmp_path / 'start'}") as process:
        await process.start()
        assert await process.ask("echo well", str) == "well"


async def test_a_task_that_ends_its_worker_itself_does_not_run_again(tmp_path):
    async with worker() as process:
        with pytest.raises(WorkerLost):
            await process.ask(f"die once {tmp_path / 'task'}", str)


async def test_ctrl_c_in_the_terminal_is_for_its_caller():
    async with worker() as process:
        await process.start()
        assert os.getpgid(process.pid) != os.getpgid(0), "the terminal signals a whole group"


async def test_a_cancelled_caller_stops_the_worker():
    async with worker() as process:
        await process.start()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(process.ask("hang", str), 0.1)
        assert process.pid is None
        assert await process.ask("echo well", str) == "well"


async def test_a_worker_that_refuses_its_setup_says_why():
    async with worker("refuse") as process:
        with pytest.raises(WorkerNotReady) as raised:
            await process.start()
        assert raised.value.reason == "I can't."
        assert process.pid is None


@pytest.mark.parametrize("setup", ["die", "spin", "hang"])
async def test_a_worker_that_never_gets_ready_is_ended(setup):
    limits = {"setup_seconds": 0.2, "setup_patience": 5.0 if setup == "hang" else 60.0}
    async with worker(setup, **limits) as process:
        with pytest.raises(WorkerNotReady) as raised:
            await process.ask("echo a", str)
        assert raised.value.reason == ""
        assert process.pid is None


async def test_a_worker_that_speaks_no_frames_is_ended(monkeypatch):
    monkeypatch.setenv("RUBBISH", "Warning: your Python is old.")
    async with worker() as process:
        with pytest.raises(WorkerNotReady):
            await process.start()
        assert process.pid is None


async def test_a_worker_ends_with_its_caller():
    async with worker() as process:
        await process.start()
        process._process.stdin.close()
        assert await asyncio.wait_for(process._process.wait(), 60) == 0
