"""The native kernels of each instruction set that this processor has."""

from __future__ import annotations

import ctypes

import pytest

from minikin.engine.native.build import load_library
from minikin.engine.native.variants import SETS


def library_of(instructions: str) -> ctypes.CDLL:
    """The kernels of one of SETS.

    Skips the test if there are none, or the processor lacks the instructions. The kernels for fewer
    instructions, which would run in their place, are a case of their own.
    """
    best = load_library()
    if best is None:
        pytest.skip("no gcc here")
    found = best.instructions().decode()
    if instructions == found:
        return best
    if SETS.index(instructions) > SETS.index(found):
        pytest.skip(f"this processor has no {instructions}")
    return load_library(instructions)
