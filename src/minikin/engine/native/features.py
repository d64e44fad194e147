"""The features of this processor, by the names that Linux gives them."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from minikin import machine
from minikin.engine.native.variants import MACHINE

_ARM_BITS = {16: {1: "asimd", 20: "asimddp"}, 26: {13: "i8mm", 14: "bf16"}}
"""AT_HWCAP and AT_HWCAP2 of Linux's auxiliary vector: the bits that name features of arm64."""

# https://developer.apple.com/documentation/kernel/1387446-sysctlbyname/determining_instruction_set_characteristics
_ARM_ON_MACOS = {
    "hw.optional.arm64": "asimd",  # a part of all of them
    "hw.optional.arm.FEAT_DotProd": "asimddp",
    "hw.optional.arm.FEAT_I8MM": "i8mm",
    "hw.optional.arm.FEAT_BF16": "bf16",
}
_X86_ON_MACOS = (
    "machdep.cpu.features",
    "machdep.cpu.leaf7_features",
    "machdep.cpu.extfeatures",
)
"""Each is a list of features."""
_OTHER_NAMES = {"lzcnt": "abm", "avx1.0": "avx"}


def processor_features() -> tuple[str, ...]:
    """Sorted. Empty on systems other than Linux and macOS."""
    if sys.platform == "darwin":
        return tuple(sorted(of_macos(machine.sysctl(), MACHINE)))
    if sys.platform == "linux" and MACHINE == "aarch64":
        return tuple(sorted(_of_arm_on_linux()))
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ()
    flags = next((line for line in lines if line.startswith(("flags", "Features", "isa"))), ":")
    return tuple(sorted(flags.partition(":")[2].split()))


def has_bfloat16() -> bool:
    """Whether this processor has bfloat16 products. Other processors are faster in float32."""
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(processor_features())


def of_macos(values: Mapping[str, str], kind: str) -> set[str]:
    """The features that macOS describes by these values of `machine.sysctl`.

    `kind` is the MACHINE of the process: Rosetta runs programs for x86_64 on an arm64 Mac.
    """
    if kind == "aarch64":
        return {name for key, name in _ARM_ON_MACOS.items() if values.get(key) == "1"}
    names = " ".join(values.get(key, "") for key in _X86_ON_MACOS).lower().split()
    return {_OTHER_NAMES.get(name, name) for name in names}


def _of_arm_on_linux() -> Iterator[str]:
    # An emulator shows these of the processor that it emulates, but the host's /proc/cpuinfo.
    value = ctypes.CDLL(None).getauxval
    value.argtypes, value.restype = [ctypes.c_ulong], ctypes.c_ulong
    for word, bits in _ARM_BITS.items():
        found = value(word)
        yield from (name for bit, name in bits.items() if found >> bit & 1)
