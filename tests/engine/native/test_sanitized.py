"""The tests of the kernels once more, with gcc's sanitizer of addresses in the kernels."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.real_model import ROOT

pytestmark = pytest.mark.slow

WRAPPER = """#!/bin/sh
unset LD_PRELOAD
exec {gcc} -fsanitize=address -fno-omit-frame-pointer "$@"
"""
TESTS = ("test_kernels.py", "test_plain.py", "test_company.py", "test_quantized.py")


@pytest.mark.timeout(3_600)
def test_the_kernels_stay_within_their_arrays(tmp_path):
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("no gcc here")
    name = [gcc, "-print-file-name=libasan.so"]
    library = subprocess.check_output(name, text=True).strip()
    if not Path(library).is_absolute():
        pytest.skip("no libasan here")
    wrapper = tmp_path / "bin" / "gcc"
    wrapper.parent.mkdir()
    wrapper.write_text(WRAPPER.format(gcc=gcc))
    wrapper.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{wrapper.parent}:{os.environ['PATH']}",
        "LD_PRELOAD": library,
        "ASAN_OPTIONS": "detect_leaks=0",  # Python keeps much until its end
        "MINIKIN_CACHE": str(tmp_path),
    }
    folder = Path(__file__).parent
    options = ["-q", "-x", "-m", ""]  # also those that `make test` leaves out
    command = [sys.executable, "-m", "pytest", *options, *(folder / name for name in TESTS)]
    ended = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout[-3_000:] + ended.stderr[-3_000:]
    assert any((tmp_path / "kernels").glob("*.so")), "the kernels of another run were tested"
