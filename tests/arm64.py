"""Python for 64-bit ARM, as Debian builds it, in qemu's emulation of one program."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.real_model import ROOT

PROGRAMS = ("qemu-aarch64", "aarch64-linux-gnu-gcc", "apt-get", "dpkg-deb")
PACKAGES = ("python3", "libpython3-stdlib", "libstdc++6")
PYTHON = "3.11"
"""The version that Debian 12 has."""
PLATFORMS = [f"--platform=manylinux_2_{minor}_aarch64" for minor in (17, *range(24, 37))]
TESTED_WITH = ("pytest", "pytest-timeout", "pytest-asyncio")
SCRIPT = """#!/bin/sh
export PYTHONHOME='{root}/usr'
exec qemu-aarch64 -cpu max -0 "$0" -L '{root}' "$PYTHONHOME/bin/python{version}" "$@"
"""
"""(With -0, Python starts others by this script too.)"""


@dataclass(frozen=True)
class Arm64:
    """The emulated Python, with Minikin's wheel and all that it needs."""

    python: Path
    packages: Path

    def environment(self, folder: Path) -> dict[str, str]:
        """That of a program, with its files in `folder`."""
        kept = {name: os.environ[name] for name in ("PATH",)}
        home = {"HOME": str(folder), "MINIKIN_CACHE": str(folder / "cache")}
        return kept | home | {"PYTHONPATH": str(self.packages), "OMP_NUM_THREADS": "1"}


def make(folder: Path) -> Arm64:
    """Download, unpack and install everything into `folder`. Skips the test where that can't be."""
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    if missing or platform.machine() != "x86_64" or not _is_debian_12():
        pytest.skip(f"needs Debian 12 on x86-64, and {', '.join(PROGRAMS)}")
    root = folder / "root"
    try:
        _unpack_python(folder / "apt", root)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"Debian's packages of arm64 cannot be had: {error}")
    script = folder / "python"
    script.write_text(SCRIPT.format(root=root, version=PYTHON))
    script.chmod(0o755)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheels = folder / "wheels"
    built = [*pip, "wheel", "--no-deps", f"--wheel-dir={wheels}", str(ROOT)]
    subprocess.run(built, check=True, env=os.environ | {"MINIKIN_WHEEL_MACHINE": "aarch64"})
    fitting = ["--only-binary=:all:", f"--python-version={PYTHON}", *PLATFORMS]
    packages = folder / "packages"
    install = [*pip, "install", f"--target={packages}", *fitting, *TESTED_WITH]
    limits = f"--constraint={ROOT / 'constraints.txt'}"
    subprocess.run([*install, limits, *wheels.glob("*.whl")], check=True)
    return Arm64(script, packages)


def _is_debian_12() -> bool:
    """Its archive has the packages of both processors, and Python 3.11."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return False
    return (release.get("ID"), release.get("VERSION_ID")) == ("debian", "12")


def _unpack_python(apt: Path, root: Path) -> None:
    """Debian's packages without installing any: this machine stays as it is."""
    for part in ("state/lists/partial", "cache/archives/partial"):
        (apt / part).mkdir(parents=True)
    (apt / "state" / "status").touch()
    options = {
        "Dir::State": apt / "state", "Dir::State::status": apt / "state" / "status",
        "Dir::Cache": apt / "cache", "APT::Architecture": "arm64", "APT::Architectures": "arm64",
        "APT::Install-Recommends": "false", "APT::Sandbox::User": "root",
    }  # fmt: skip
    get = ["apt-get", "--quiet", *(f"--option={name}={value}" for name, value in options.items())]
    subprocess.run([*get, "update"], check=True)
    subprocess.run([*get, "install", "--yes", "--download-only", *PACKAGES], check=True)
    for package in (apt / "cache" / "archives").glob("*.deb"):
        subprocess.run(["dpkg-deb", "--extract", package, root], check=True)
