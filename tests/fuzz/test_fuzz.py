"""The fuzzer in short. `make fuzz-bytes` runs it for as long as wanted."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.__main__ import NAMES
from tests.fuzz.target import FuzzFault
from tests.fuzz.targets import TARGETS
from tests.fuzz.templates import _watched
from tests.real_model import ROOT

RUNS = 1_000
"""The same inputs each time: what a longer run finds must not fail somebody's change."""


@pytest.mark.parametrize("name", NAMES)
def test_valid_inputs_and_their_beginnings_are_read_or_refused(name):
    target = TARGETS[name]
    for seed in target.seeds():
        for size in {len(seed), len(seed) // 2, min(len(seed), 3)}:
            target.run(seed[:size])


def test_a_template_that_leaves_the_sandbox_is_a_fault():
    with pytest.raises(FuzzFault, match="open"), _watched():
        Path(os.devnull).read_bytes()


@pytest.mark.thorough
def test_nothing_that_the_fuzzer_finds_raises_another_error(tmp_path):
    pytest.importorskip("atheris", reason="atheris has no wheel for this machine")
    command = [sys.executable, "-m", "tests.fuzz", "--seconds", "300"]
    command += ["--runs", str(RUNS), "--seed", "1", "--corpus", str(tmp_path)]
    environment = os.environ | {
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
    said = run.stderr.decode(errors="replace")
    assert run.returncode == 0, said[-4_000:]
    assert len(re.findall("^Done", said, re.MULTILINE)) == len(NAMES), said[-4_000:]
