"""Compiles `kernels.c` for the processor of this machine, once."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from minikin.config import cache_folder
from minikin.engine.native.features import processor_features
from minikin.engine.native.variants import (
    FLAGS,
    MACHINE,
    ON_MACOS,
    PLAIN,
    SETS,
    VARIANTS,
    Variant,
    at_most,
    command,
)

log = logging.getLogger(__name__)

SOURCE = Path(__file__).with_name("kernels.c")
PARTS = tuple(sorted(SOURCE.parent.glob("*.[ch]")))
PREBUILT = SOURCE.parent / "prebuilt"
"""The libraries of a wheel. A checkout has none."""
COMPILE_SECONDS = 900
"""On an idle machine, gcc needs 2 to 5 seconds. On a busy machine it can need many times that."""
COMPILERS = {"linux": ("gcc", "clang"), "darwin": ("clang",)}
"""What can compile the kernels on each system, the best first."""


def load_library(most: str = SETS[-1], flags: tuple[str, ...] = FLAGS) -> ctypes.CDLL | None:
    """The kernels from the cache, from the wheel, or compiled now.

    They use the best instruction set of the processor, up to `most` of SETS. If they cannot be
    compiled, the log gives the reason and the result is None.
    """
    ready = ready_file(most, flags)
    if ready is None:
        try:
            ready = compile_kernels(most, flags)
        except (OSError, subprocess.SubprocessError) as error:
            log.warning("%s: PyTorch has to compute (several times slower)", _reason(error))
            return None
    library = ctypes.CDLL(str(ready))
    library.instructions.restype = ctypes.c_char_p
    if library.instructions() is None:
        log.warning("The system does not allow AMX: using AVX-512")
        return load_library("AVX-512", flags)
    return library


def expects_kernels() -> bool:
    """Whether `load_library` will probably find or make kernels. It does not compile."""
    return bool(ready_file() or _compiler())


def compilers() -> str:
    """The programs that can compile the kernels on this system, for a sentence."""
    return " or ".join(COMPILERS.get(sys.platform, ()))


def ready_file(most: str = SETS[-1], flags: tuple[str, ...] = FLAGS) -> Path | None:
    """The library that needs no compiler any more: compiled earlier, or from the wheel."""
    if (compiled := compiled_file(most, flags)).exists():
        return compiled
    return _prebuilt(most) if flags == FLAGS else None


def _prebuilt(most: str) -> Path | None:
    """The best library of the wheel for this processor, up to `most` of SETS."""
    files = (PREBUILT / variant.file for variant in _fitting(most))
    return next((file for file in files if file.exists()), None)


def _fitting(most: str) -> Iterator[Variant]:
    """The variants that this processor can run, up to `most` of SETS, the best first."""
    features = set(processor_features())
    for variant in (ON_MACOS if sys.platform == "darwin" else VARIANTS).get(MACHINE, ()):
        if variant.needs <= features and SETS.index(variant.instructions) <= SETS.index(most):
            yield variant


def _choice(most: str) -> tuple[str, ...]:
    """The flags for this processor."""
    # If plain C is requested, it is compiled for the oldest processor of this architecture.
    if most == PLAIN:
        return (at_most(most),)
    if sys.platform == "darwin":  # its clang does not know every processor as `native`
        return (at_most(most), *next((one.processor for one in _fitting(most)), ()))
    return (at_most(most), *(("-march=native",) if MACHINE in VARIANTS else ()))


def compiled_file(most: str = SETS[-1], flags: tuple[str, ...] = FLAGS) -> Path:
    """Where the kernels for these sources, flags and this processor are, once they are compiled."""
    words = (*flags, *_choice(most), MACHINE, *processor_features())
    parts = [*(part.read_bytes() for part in PARTS), *map(str.encode, words)]
    key = hashlib.sha256(b"\0".join(parts)).hexdigest()
    return cache_folder() / "kernels" / f"{key[:16]}.so"


def compile_kernels(most: str = SETS[-1], flags: tuple[str, ...] = FLAGS) -> Path:
    """Compile in one process, while others wait. Raises OSError or SubprocessError."""
    target = compiled_file(most, flags)
    if sys.platform not in COMPILERS:
        raise OSError("The native kernels need Linux or macOS")
    compiler = _compiler()
    if compiler is None:
        raise OSError(f"{compilers()} not found")
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_name("compile.lock")):
        if not target.exists():
            fresh = target.with_suffix(".part")
            compiling = command(compiler, (*flags, *_choice(most)), SOURCE, fresh)
            subprocess.run(compiling, check=True, capture_output=True, timeout=COMPILE_SECONDS)
            os.replace(fresh, target)
    return target


def _compiler() -> str | None:
    found = map(shutil.which, COMPILERS.get(sys.platform, ()))
    return next((path for path in found if path), None)


def _reason(error: OSError | subprocess.SubprocessError) -> str:
    """The reason why there are no compiled kernels, in one line."""
    if isinstance(error, subprocess.CalledProcessError):
        lines = error.stderr.decode(errors="replace").strip().splitlines() or [str(error)]
        worst = next((line for line in lines if "error" in line.lower()), lines[-1])
        return f"{Path(error.cmd[0]).name} could not compile the native kernels ({worst})"
    if isinstance(error, subprocess.TimeoutExpired):
        name = Path(error.cmd[0]).name
        return f"{name} did not compile the native kernels within {COMPILE_SECONDS} s"
    return str(error)
