"""The threads of the kernels: how they wait, and what they have room for."""

import shutil
import subprocess
import sys

import pytest

from minikin.engine.native.build import SOURCE
from minikin.engine.native.variants import FLAGS
from tests.real_model import ROOT

SMALL_STACKS = """
import resource
import numpy as np
soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
resource.setrlimit(resource.RLIMIT_STACK, (64 << 20, hard))  # this thread's; others keep the first
from minikin.engine.native.build import load_library
from minikin.engine.native.draw import Draw
from minikin.engine.native.kernels import WIDEST, Kernels, PackedMatrix
from minikin.engine.native.quantized import Blocks
kernels = Kernels(load_library(), threads=3)
levels = np.ones((256, WIDEST), np.uint8)
halves = np.ones((256, WIDEST // 32), np.float16)
matrix = PackedMatrix.pack(kernels, Blocks(levels, halves, halves, 8))
product = matrix.product(np.ones((64, WIDEST), np.float32))
assert np.allclose(product, 2 * WIDEST, rtol=1e-3), product
logits = np.random.default_rng(0).normal(size=(64, 1 << 18)).astype(np.float32)
assert (kernels.choose(logits, [Draw(1.0, top_p=0.5, point=0.5)] * 64) >= 0).all()
"""
WAITING = """
import sys, time
import numpy as np
from ctypes import CDLL
from minikin.engine.native.kernels import Kernels, Inputs
kernels = Kernels(CDLL(sys.argv[1]), threads=4)
x = np.ones((40, 64), np.float32)
for turn in range(300):
    inputs = Inputs(kernels, 40, 64)
    inputs.split(40)
    kernels.write(x, inputs)  # forty chunks
    assert np.allclose(inputs.rows(40), 1)
    time.sleep(turn % 7 * 1e-4)  # long enough to fall asleep, or not
"""


def test_a_worker_has_room_for_the_widest_matrix():
    """Threads of macOS have 512 KB by themselves."""
    script = ["bash", "-c", 'ulimit -S -s 512; exec "$@"', "-", sys.executable, "-c", SMALL_STACKS]
    subprocess.run(script, check=True, cwd=ROOT)


@pytest.mark.skipif(not shutil.which("gcc"), reason="no gcc here")
@pytest.mark.parametrize("how", [(), ("-DPORTABLE_WAITS",)], ids=["futex", "portable"])
def test_workers_that_sleep_wake_for_each_job(how, tmp_path):
    library = tmp_path / "kernels.so"
    command = ["gcc", *FLAGS, "-O1", "-DMOST=0", *how, "-o", library, SOURCE, "-lm"]
    subprocess.run(command, check=True)
    waiting = [sys.executable, "-c", WAITING, library]
    subprocess.run(waiting, check=True, cwd=ROOT, timeout=120)
