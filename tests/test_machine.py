import os
import subprocess
import sys

import pytest

from minikin import machine
from tests.macs import INTEL, M1, M3


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
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    (limits / "cpu.max").write_text(quota)
    assert machine.processors() == processors


def test_affinity_limits_the_processors(limits, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5})
    assert machine.processors() == 2


@pytest.mark.parametrize(("processors", "threads"), [(1, 1), (2, 1), (3, 1), (4, 2), (64, 2)])
def test_long_work_leaves_processors_to_the_engine(limits, monkeypatch, processors, threads):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(processors)))
    assert machine.side_threads() == threads


def values(text):
    return dict(line.split(": ", 1) for line in text.splitlines())


@pytest.fixture
def mac(tmp_path, monkeypatch):
    """Make this machine a Mac, with a program that prints `text` in place of its sysctl."""

    def become(text):
        program = tmp_path / "sysctl"
        program.write_text(f"#!/bin/sh\n[ \"$*\" = 'hw machdep.cpu' ] && cat <<'END'\n{text}END\n")
        program.chmod(0o755)
        monkeypatch.setattr(machine, "_SYSCTL", str(program))
        monkeypatch.setattr(sys, "platform", "darwin")
        machine.sysctl.cache_clear()

    yield become
    machine.sysctl.cache_clear()


def test_macos_says_what_its_processor_is(mac, limits):
    mac(M1)
    assert machine.sysctl() == values(M1)
    assert machine.processors() == 4


def test_a_mac_without_the_program_says_nothing(mac, monkeypatch):
    mac(M1)
    monkeypatch.setattr(machine, "_SYSCTL", "/nowhere/sysctl")
    assert machine.sysctl() == {}
    assert machine.processors() == os.cpu_count()


def test_other_systems_are_not_asked(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(subprocess, "run", None)
    machine.sysctl.cache_clear()
    assert machine.sysctl() == {}


@pytest.mark.parametrize(("text", "cores"), [(M1, 4), (M3, 4), (INTEL, 0)])
def test_efficiency_cores_do_not_count(text, cores):
    assert machine.fast_cores(values(text)) == cores
    more = {"hw.nperflevels": "3", "hw.perflevel2.logicalcpu": "6", "hw.perflevel2.name": "Super"}
    assert machine.fast_cores(values(text) | more) == cores + 6
