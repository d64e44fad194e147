"""Packages of npm for the tests, in a folder of the cache; nothing of them is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock

from minikin.config import cache_folder

OPENAI = ("openai@6.49.0",)
"""The last version that runs on Node 20."""


def node_packages(packages: tuple[str, ...] = OPENAI) -> Path:
    """The folder `node_modules` with these packages, downloaded if it is missing.

    Skips the test where there is no npm, or where npm cannot reach a registry.
    """
    npm = shutil.which("npm")
    if not npm:
        pytest.skip("npm is not installed")
    folder = cache_folder() / "tests" / "node" / "_".join(packages)
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "done"
    with FileLock(folder / "lock"):
        if not done.exists():
            _install(npm, folder, packages)
            done.touch()
    return folder / "node_modules"


def _install(npm: str, folder: Path, packages: tuple[str, ...]) -> None:
    quiet = ("--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts")
    run = subprocess.run(
        [npm, "install", "--prefix", folder, *quiet, *packages],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "npm_config_update_notifier": "false"},
    )
    if run.returncode:
        pytest.skip(f"npm cannot install {' '.join(packages)}: {run.stderr.strip()[-200:]}")
