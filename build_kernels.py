"""Compiles the kernels for a wheel, if there is a compiler. Hatch calls this (`pyproject.toml`).

MINIKIN_WHEEL_MACHINE=aarch64 builds the wheel of another kind of machine, with its cross compiler.
On macOS, clang is the compiler for both kinds of Mac.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NATIVE = Path("src/minikin/engine/native")
WHERE = "minikin/engine/native/prebuilt"
OLDEST_GLIBC = (2, 17)
OLDEST_MACOS = (11, 0)
"""The first version for Apple's processors."""
ARCH = {"aarch64": "arm64", "x86_64": "x86_64"}
"""What macOS calls the kinds of machines."""


class KernelsHook(BuildHookInterface[Any]):
    """Adds the libraries of `variants.py` to a wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Without a compiler, the wheel has no kernels, and fits every machine."""
        native = Path(self.root) / NATIVE
        variants = _variants(native / "variants.py")
        machine = os.environ.get("MINIKIN_WHEEL_MACHINE", variants.MACHINE)
        mac = sys.platform == "darwin"
        ours = (variants.ON_MACOS if mac else variants.VARIANTS).get(machine, ())
        compiler, *flags = _compiler(machine)
        if version == "editable" or compiler is None or not ours:
            return
        self._folder = tempfile.TemporaryDirectory()
        libraries: list[Path] = []
        for variant in ours:
            target = Path(self._folder.name) / variant.file
            source = native / "kernels.c"
            command = variants.command(compiler, (*flags, *variant.flags), source, target)
            subprocess.run(command, check=True)
            build_data["force_include"][str(target)] = f"{WHERE}/{variant.file}"
            libraries.append(target)
        build_data["pure_python"] = False
        system = _macos(machine) if mac else _manylinux(machine, libraries)
        build_data["tag"] = f"py3-none-{system}"


def _compiler(machine: str) -> list[str | None]:
    """The compiler, or None, and its flags for this kind of machine."""
    if sys.platform == "darwin":
        oldest = ".".join(map(str, OLDEST_MACOS))
        flags = ["-arch", ARCH.get(machine, machine), f"-mmacosx-version-min={oldest}"]
        # Without Apple's tools, `clang` is a program that asks to install them.
        asked = subprocess.run(["xcode-select", "--print-path"], capture_output=True)
        return [shutil.which("clang") if asked.returncode == 0 else None, *flags]
    if sys.platform != "linux":
        return [None]
    own = machine == platform.machine()
    return [shutil.which("gcc" if own else f"{machine}-linux-gnu-gcc")]


def _macos(machine: str) -> str:
    """The platform of a wheel that needs OLDEST_MACOS."""
    return f"macosx_{OLDEST_MACOS[0]}_{OLDEST_MACOS[1]}_{ARCH[machine]}"


def _manylinux(machine: str, libraries: list[Path]) -> str:
    """The platform of a wheel for all systems whose C library is new enough for the libraries."""
    major, minor = max(OLDEST_GLIBC, *map(_glibc, libraries))
    return f"manylinux_{major}_{minor}_{machine}"


def _variants(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("variants", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def _glibc(library: Path) -> tuple[int, int]:
    """The newest version of the C library whose symbols this one uses (PEP 600)."""
    versions = re.findall(rb"GLIBC_(\d+)\.(\d+)", library.read_bytes())
    return max((int(major), int(minor)) for major, minor in versions)
