"""What this machine can do at most: bytes read and operations of a large product, a second."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from minikin.engine.native.features import has_bfloat16

SIDE = 4096


@dataclass(frozen=True)
class Limits:
    """Measured once. The machine's clock wanders: take the median of several."""

    bandwidth: float
    products: float

    @classmethod
    def measure(cls) -> Limits:
        """Takes about five seconds."""
        return cls(read_bandwidth(), product_rate())


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


def product_type() -> torch.dtype:
    """What PyTorch multiplies fastest here: float32 where the processor has no bfloat16 units."""
    return torch.bfloat16 if has_bfloat16() else torch.float32


def product_rate() -> float:
    """Operations a second of a product of two 4,096 x 4,096 matrices, the best of 5."""
    a, b = (torch.randn(SIDE, SIDE).to(product_type()) for _ in range(2))
    times = []
    for _ in range(6):
        started = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - started)
    return 2 * SIDE**3 / min(times)
