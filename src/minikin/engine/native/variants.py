"""The kernels that a wheel contains, one library for each instruction set.

`build_kernels.py` also reads this module, without the package. So it imports nothing of it.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import dataclass

PLAIN = "plain C"
MACHINE = {"arm64": "aarch64"}.get(platform.machine(), platform.machine())
"""The kind of this machine, by Linux's name. macOS calls aarch64 arm64."""
SETS_OF = {
    "x86_64": (PLAIN, "AVX2", "AVX-512", "AMX"),
    "aarch64": (PLAIN, "NEON", "NEON i8mm"),
}
"""The instruction sets that `instruction_set.h` chooses from, the simplest first."""
SETS = SETS_OF.get(MACHINE, (PLAIN,))
"""Those of this machine."""
FLAGS = ("-O3", "-pthread", "-fPIC", "-shared", "-Wall", "-Wno-psabi")


@dataclass(frozen=True)
class Variant:
    """A library for every processor that has some features."""

    instructions: str
    """One of SETS_OF."""
    processor: tuple[str, ...]
    """Flags for what gcc or clang may use."""
    needs: frozenset[str]
    """The same, by the names in Linux's /proc/cpuinfo."""

    @property
    def flags(self) -> tuple[str, ...]:
        """All flags for gcc or clang."""
        return (*FLAGS, at_most(self.instructions), *self.processor)

    @property
    def file(self) -> str:
        """The name of the library."""
        return f"{self.instructions.replace(' ', '-').lower()}.so"


_V3 = frozenset({"avx2", "fma", "f16c", "bmi1", "bmi2", "abm", "movbe"})
_V4 = _V3 | {
    "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512_vnni", "avx512_bf16",
}  # fmt: skip
_DOT = frozenset({"asimd", "asimddp"})
_I8MM = _DOT | {"i8mm", "bf16"}
_V4_FLAGS = ("-march=x86-64-v4", "-mavx512vnni", "-mavx512bf16")

VARIANTS: dict[str, tuple[Variant, ...]] = {
    "x86_64": (
        Variant("AMX", (*_V4_FLAGS, "-mamx-tile", "-mamx-bf16"), _V4 | {"amx_tile", "amx_bf16"}),
        Variant("AVX-512", _V4_FLAGS, _V4),
        Variant("AVX2", ("-march=x86-64-v3",), _V3),
        Variant(PLAIN, ("-march=x86-64",), frozenset()),
    ),
    "aarch64": (
        Variant("NEON i8mm", ("-march=armv8.2-a+dotprod+i8mm+bf16",), _I8MM),
        Variant("NEON", ("-march=armv8.2-a+dotprod",), _DOT),
        Variant(PLAIN, ("-march=armv8-a",), frozenset()),
    ),
}
"""For each kind of machine, the best first."""
ON_MACOS: dict[str, tuple[Variant, ...]] = {
    machine: tuple(one for one in variants if one.instructions not in ("AMX", "AVX-512"))
    for machine, variants in VARIANTS.items()
}
"""Those for macOS: no Mac has the instructions of the others."""


def command(compiler: str, flags: Iterable[str], source: object, target: object) -> list[str]:
    """How to compile the kernels with these flags."""
    return [compiler, *flags, "-o", str(target), str(source), "-lm"]


def at_most(instructions: str) -> str:
    """The flag for the instruction sets up to this one."""
    sets = next(sets for sets in SETS_OF.values() if instructions in sets)
    return f"-DMOST={sets.index(instructions)}"
