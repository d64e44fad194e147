"""Compiles the kernels for a wheel, if there is a compiler. Hatch calls this (`pyproject.toml`).

MINIKIN_WHEEL_MACHINE=aarch64 builds the wheel of another kind of machine, with its cross compiler.
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


class KernelsHook(BuildHookInterface[Any]):
    """Adds the libraries of `variants.py` to a wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Without a compiler, the wheel has no kernels, and fits every machine."""
        machine = os.environ.get("MINIKIN_WHEEL_MACHINE", platform.machine())
        compiler = _compiler(machine)
        native = Path(self.root) / NATIVE
        variants = _variants(native / "variants.py")
        if version == "editable" or compiler is None or machine not in variants.VARIANTS:
            return
        self._folder = tempfile.TemporaryDirectory()
        glibc = OLDEST_GLIBC
        for variant in variants.VARIANTS[machine]:
            target = Path(self._folder.name) / variant.file
            source = native / "kernels.c"
            subprocess.run(variants.command(compiler, variant.flags, source, target), check=True)
            build_data["force_include"][str(target)] = f"{WHERE}/{variant.file}"
            glibc = max(glibc, _glibc(target))
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-manylinux_{glibc[0]}_{glibc[1]}_{machine}"


def _compiler(machine: str) -> str | None:
    if sys.platform != "linux":
        return None
    own = machine == platform.machine()
    return shutil.which("gcc" if own else f"{machine}-linux-gnu-gcc")


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
