"""The kernels of each instruction set, and the plain ones that they have to agree with."""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from minikin.engine.native.build import SOURCE, load_library
from minikin.engine.native.kernels import Kernels
from minikin.engine.native.variants import PLAIN, SETS
from tests.thorough import mostly_thorough

AVX2 = "AVX2"


@pytest.fixture(autouse=True)
def same_numbers():
    np.random.seed(0)


@pytest.fixture(scope="session")
def plain():
    """The kernels that use nothing of the processor, and run on every one."""
    return found(PLAIN)


# The emulation of the last sets of x86 is slow to compile and to run.
@pytest.fixture(scope="session", params=mostly_thorough(SETS, *SETS[:2]))
def kernels(request, tmp_path_factory):
    """The kernels of each set, on a processor that lacks its instructions by emulation."""
    kernels = found(request.param)
    if kernels.instructions == request.param:
        return kernels
    if AVX2 not in SETS or found(AVX2).instructions != AVX2:
        pytest.skip("no AVX2 to emulate other instructions with")
    kernels = Kernels(emulated(request.param, folder_of_the_run(tmp_path_factory)), threads=2)
    assert kernels.instructions == request.param
    return kernels


def found(most):
    library = load_library(most)
    if library is None:
        pytest.skip("no gcc here")
    return Kernels(library, threads=2)


def folder_of_the_run(tmp_path_factory):
    """A folder that the workers of pytest-xdist share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


def emulated(instructions, folder):
    """The kernels, which one process compiles while others wait for them."""
    flags = ["-O1", "-mavx2", "-mfma", "-mf16c", "-pthread", "-fPIC", "-shared", "-Wno-psabi"]
    if instructions == "AMX":
        flags.append("-DEMULATE_AMX")
    header, library = Path(__file__).with_name("emulated.h"), folder / f"{instructions}.so"
    command = ["gcc", *flags, "-include", header, "-o", library, SOURCE, "-lm"]
    with FileLock(f"{library}.lock"):
        if not library.exists():
            subprocess.run(command, check=True)
    return ctypes.CDLL(str(library))
