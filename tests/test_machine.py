import os

import pytest

from minikin import machine


@pytest.fixture
def limits(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_LIMITS", tmp_path)
    return tmp_path


def test_a_container_gives_less_memory(limits):
    whole = machine.memory()
    assert 100_000_000 < whole < 10**14
    (limits / "memory.max").write_text("99000000\n")
    assert machine.memory() == 99_000_000
    (limits / "memory.max").write_text("max\n")
    assert machine.memory() == whole


@pytest.mark.parametrize(
    ("quota", "processors"),
    [("max 100000", 8), ("400000 100000", 4), ("250000 100000", 3), ("10000 100000", 1), ("", 8)],
)
def test_a_quota_limits_the_processors(limits, monkeypatch, quota, processors):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    (limits / "cpu.max").write_text(quota)
    assert machine.processors() == processors


def test_affinity_limits_the_processors(limits, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5}, raising=False)
    assert machine.processors() == 2


@pytest.mark.parametrize(("processors", "threads"), [(1, 1), (2, 1), (3, 1), (4, 2), (64, 2)])
def test_long_work_leaves_processors_to_the_engine(limits, monkeypatch, processors, threads):
    monkeypatch.setattr(
        os, "sched_getaffinity", lambda process: set(range(processors)), raising=False
    )
    assert machine.side_threads() == threads
