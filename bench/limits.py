"""What this machine can do at most: bytes read and operations of a large product, a second."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

import torch

SIDE = 4096


def read_bandwidth() -> float:
    """Bytes a second that all cores together read from memory (`read.c`; needs gcc)."""
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder, "read"))
        source = str(Path(__file__).with_name("read.c"))
        subprocess.run(
            ["gcc", "-O3", "-march=native", "-pthread", "-o", program, source], check=True
        )
        run = subprocess.run([program, str(os.cpu_count())], check=True, capture_output=True)
    return float(run.stdout)


def product_rate() -> float:
    """Operations a second of a bfloat16 product of two 4,096 x 4,096 matrices, the best of 5."""
    a, b = (torch.randn(SIDE, SIDE).bfloat16() for _ in range(2))
    times = []
    for _ in range(6):
        started = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - started)
    return 2 * SIDE**3 / min(times)
