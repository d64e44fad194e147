"""Where the packed weights of a model are: `packed/MODEL-KEY.packed` in the user's cache folder."""

from __future__ import annotations

from pathlib import Path

from minikin.config import cache_folder

_DIGITS = 32


def packed_folder() -> Path:
    """The folder of all of them."""
    return cache_folder() / "packed"


def packed_file(digest: str, key: str) -> Path:
    """The file of the model with this digest, as `key` says that it is packed."""
    return packed_folder() / f"{digest[:_DIGITS]}-{key}.packed"


def packed_files(digest: str) -> list[Path]:
    """The files of this model that are there, packed in any way."""
    return sorted(packed_folder().glob(f"{digest[:_DIGITS]}-*.packed"))
