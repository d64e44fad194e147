"""Compiles `kernels.c` for the processor of this machine, once."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

from minikin.config import cache_folder
from minikin.engine.native.variants import FLAGS, SETS, VARIANTS, at_most, command

log = logging.getLogger(__name__)

SOURCE = Path(__file__).with_name("kernels.c")
PARTS = tuple(sorted(SOURCE.parent.glob("*.[ch]")))
PREBUILT = SOURCE.parent / "prebuilt"
"""The libraries of a wheel. A checkout has none."""
COMPILE_SECONDS = 900
"""On an idle machine, gcc needs 2 to 5 seconds. On a busy machine it can need many times that."""


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
    return bool(ready_file() or (sys.platform == "linux" and shutil.which("gcc")))


def ready_file(most: str = SETS[-1], flags: tuple[str, ...] = FLAGS) -> Path | None:
    """The library that needs no compiler any more: compiled earlier, or from the wheel."""
    if (compiled := compiled_file(most, flags)).exists():
        return compiled
    return _prebuilt(most) if flags == FLAGS else None


def _prebuilt(most: str) -> Path | None:
    """The best library of the wheel for this processor, up to `most` of SETS."""
    features = set(_processor_features())
    for variant in VARIANTS.get(platform.machine(), ()):
        file = PREBUILT / variant.file
        allowed = SETS.index(variant.instructions) <= SETS.index(most)
        if allowed and variant.needs <= features and file.exists():
            return file
    return None


def has_bfloat16() -> bool:
    """Whether this processor has bfloat16 products. Other processors are faster in float32."""
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(_processor_features())


def _choice(most: str) -> tuple[str, ...]:
    # If plain C is requested, it is compiled for the oldest processor of this architecture.
    native = most != SETS[0] and platform.machine() in ("x86_64", "aarch64")
    return (at_most(most), *(("-march=native",) if native else ()))


def compiled_file(most: str = SETS[-1], flags: tuple[str, ...] = FLAGS) -> Path:
    """Where the kernels for these sources, flags and this processor are, once they are compiled."""
    words = (*flags, *_choice(most), platform.machine(), *_processor_features())
    parts = [*(part.read_bytes() for part in PARTS), *map(str.encode, words)]
    key = hashlib.sha256(b"\0".join(parts)).hexdigest()
    return cache_folder() / "kernels" / f"{key[:16]}.so"


def compile_kernels(most: str = SETS[-1], flags: tuple[str, ...] = FLAGS) -> Path:
    """Compile in one process, while others wait. Raises OSError or SubprocessError."""
    target = compiled_file(most, flags)
    if sys.platform != "linux":
        raise OSError("The native kernels need Linux")
    compiler = shutil.which("gcc")
    if compiler is None:
        raise OSError("gcc not found")
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_name("compile.lock")):
        if not target.exists():
            fresh = target.with_suffix(".part")
            compiling = command(compiler, (*flags, *_choice(most)), SOURCE, fresh)
            subprocess.run(compiling, check=True, capture_output=True, timeout=COMPILE_SECONDS)
            os.replace(fresh, target)
    return target


def _reason(error: OSError | subprocess.SubprocessError) -> str:
    """The reason why there are no compiled kernels, in one line."""
    if isinstance(error, subprocess.CalledProcessError):
        lines = error.stderr.decode(errors="replace").strip().splitlines() or [str(error)]
        worst = next((line for line in lines if "error" in line.lower()), lines[-1])
        return f"gcc could not compile the native kernels ({worst})"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"gcc did not compile the native kernels within {COMPILE_SECONDS} s"
    return str(error)


_ARM_FEATURES = {16: {1: "asimd", 20: "asimddp"}, 26: {13: "i8mm", 14: "bf16"}}
"""AT_HWCAP and AT_HWCAP2 of Linux's auxiliary vector: the bits that name features of arm64."""


def _processor_features() -> tuple[str, ...]:
    """Linux's names of the features of this processor, sorted. Empty on other systems."""
    if sys.platform == "linux" and platform.machine() == "aarch64":
        # An emulator shows these of the processor that it emulates, but the host's /proc/cpuinfo.
        value = ctypes.CDLL(None).getauxval
        value.argtypes, value.restype = [ctypes.c_ulong], ctypes.c_ulong
        words = ((value(word), bits) for word, bits in _ARM_FEATURES.items())
        return tuple(sorted(bits[bit] for found, bits in words for bit in bits if found >> bit & 1))
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ()
    flags = next((line for line in lines if line.startswith(("flags", "Features", "isa"))), ":")
    return tuple(sorted(flags.partition(":")[2].split()))
