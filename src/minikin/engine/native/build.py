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
NEEDED = frozenset({"avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16"})


def load_library(*, tile_unit: bool = True) -> ctypes.CDLL | None:
    """The compiled kernels, from the cache or built now in about two seconds.

    Without `tile_unit` they leave AMX alone, as on a processor that has none. None, with the reason
    in the log, where the processor or the compiler they need is missing.
    """
    features = _processor_features()
    if not NEEDED.issubset(features):
        log.info("PyTorch's kernels only: this processor has no AVX-512 VNNI and BF16")
        return None
    compiler = shutil.which("gcc")
    flags = FLAGS if tile_unit else (*FLAGS, "-mno-amx-bf16")
    key = hashlib.sha256(
        b"\0".join([*(part.read_bytes() for part in PARTS), *map(str.encode, flags + features)])
    )
    target = cache_folder() / "kernels" / f"{key.hexdigest()[:16]}.so"
    if not target.exists():
        if compiler is None:
            log.warning("PyTorch's kernels only: install gcc for answers up to twice as fast")
            return None
        if not _compile(compiler, flags, target):
            return None
    return ctypes.CDLL(str(target))


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
