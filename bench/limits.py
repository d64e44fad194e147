"""What this machine can do at most: bytes read, and operations on registers, a second."""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Limits:
    """Measured once. The machine's clock wanders: take the median of several."""

    bandwidth: float
    """Bytes a second that all cores together read from memory (`read.c`)."""
    operations: float
    """Operations a second of all cores' fastest unit for products (`peak.c`)."""
    unit: str

    @classmethod
    def measure(cls) -> Limits:
        """Takes about two seconds. Needs gcc."""
        operations, _, unit = _printed("peak.c").partition(" ")
        return cls(float(_printed("read.c")), float(operations), unit)


def _printed(source: str) -> str:
    """What a C program of this folder prints, with a thread for each core."""
    file = str(Path(__file__).with_name(source))
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder, "program"))
        subprocess.run(["gcc", "-O3", "-march=native", "-pthread", "-o", program, file], check=True)
        run = subprocess.run(
            [program, str(os.cpu_count())], check=True, capture_output=True, text=True
        )
    return run.stdout.strip()
