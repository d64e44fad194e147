"""Compile `kernels.c` for this very processor, once."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from minikin.config import cache_folder

log = logging.getLogger(__name__)

SOURCE = Path(__file__).with_name("kernels.c")
PARTS = tuple(sorted(SOURCE.parent.glob("*.[ch]")))
FLAGS = ("-O3", "-march=native", "-pthread", "-fPIC", "-shared", "-Wall")
COMPILE_SECONDS = 60
NEEDED = frozenset({"avx2", "fma", "f16c"})
WITHOUT = {
    "AMX": (),
    "AVX-512": ("-mno-amx-bf16",),
    "AVX2": ("-mno-amx-bf16", "-mno-avx512vnni"),
}
"""What keeps gcc from using more of the processor than this, as `simd.h` and `tiles.h` ask."""


def load_library(most: str = "AMX") -> ctypes.CDLL | None:
    """The compiled kernels, from the cache or built now in about two seconds.

    They use what the processor has, up to `most` of WITHOUT. None, with the reason in the log,
    where the processor or the compiler they need is missing.
    """
    features = _processor_features()
    if not NEEDED.issubset(features):
        log.info("PyTorch's kernels only: this processor has no AVX2 with FMA and F16C")
        return None
    compiler = shutil.which("gcc")
    flags = (*FLAGS, *WITHOUT[most])
    key = hashlib.sha256(
        b"\0".join([*(part.read_bytes() for part in PARTS), *map(str.encode, flags + features)])
    )
    target = cache_folder() / "kernels" / f"{key.hexdigest()[:16]}.so"
    if not target.exists():
        if compiler is None:
            log.warning("PyTorch's kernels only: install gcc for answers several times as fast")
            return None
        if not _compile(compiler, flags, target):
            return None
    library = ctypes.CDLL(str(target))
    library.instructions.restype = ctypes.c_char_p
    if library.instructions() is None:
        log.warning("No AMX: the system lends no tile registers")
        return load_library("AVX-512")
    return library


def can_compile() -> bool:
    """Whether `load_library` will find or make kernels, as far as one sees without compiling."""
    return NEEDED.issubset(_processor_features()) and shutil.which("gcc") is not None


def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 by itself; others are faster in float32."""
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(_processor_features())


def _compile(compiler: str, flags: tuple[str, ...], target: Path) -> bool:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            fresh = Path(folder) / "kernels.so"
            command = [compiler, *flags, "-o", str(fresh), str(SOURCE), "-lm"]
            subprocess.run(command, check=True, capture_output=True, timeout=COMPILE_SECONDS)
            os.replace(fresh, target)
    except (OSError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", None) or str(error).encode()
        log.warning(
            "PyTorch's kernels only: gcc failed (%s)", detail.decode(errors="replace").strip()
        )
        return False
    return True


def _processor_features() -> tuple[str, ...]:
    """The names Linux gives to what this processor can do, sorted; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ()
    flags = next((line for line in lines if line.startswith("flags")), ":")
    return tuple(sorted(flags.partition(":")[2].split()))
