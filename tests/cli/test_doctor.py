from __future__ import annotations

import pytest

from minikin.engine.native.build import load_library

from .conftest import Minikin


def test_it_says_what_computes_and_how_to_get_a_better_model(minikin: Minikin):
    run = minikin("doctor")
    assert run.returncode == 0, run.stderr
    found = dict(line.split(None, 1) for line in run.stdout.splitlines() if line[0] != "-")
    assert {"Minikin", "Processor", "Memory", "PyTorch", "Threads", "Cache"} <= found.keys()
    assert found["Models"].strip() == "none yet"
    assert "minikin pull" in run.stdout or "better model" not in run.stdout


@pytest.mark.thorough
@pytest.mark.skipif(load_library() is None, reason="no gcc here")
def test_it_compiles_the_kernels_if_asked(minikin: Minikin, env):
    env["MINIKIN_CACHE"] = env["HOME"]
    library = load_library()
    assert library is not None
    assert "not compiled yet" in minikin("doctor").stdout
    run = minikin("doctor", "--compile")
    assert run.returncode == 0, run.stderr
    assert f"{library.instructions().decode()}, compiled for this processor" in run.stdout
    assert "compiled for this processor" in minikin("doctor").stdout


def test_a_machine_without_gcc_gets_the_advice_to_install_it(minikin: Minikin, env):
    env |= {"PATH": "", "MINIKIN_CACHE": env["HOME"]}
    run = minikin("doctor")
    assert "- Install gcc" in run.stdout
    run = minikin("doctor", "--compile")
    assert run.returncode == 1
    assert "could not be compiled: gcc or clang not found" in run.stderr
