"""The check that a file is the one that was meant."""

from __future__ import annotations

import hashlib
from pathlib import Path

from minikin.errors import DownloadError


def sha256_of(path: Path) -> str:
    """64 hex digits. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sha256(path: Path, expected: str, what: str) -> None:
    """Remove `path` and raise DownloadError unless its SHA-256 is `expected` (hex).

    `what` names it to the user.
    """
    found = sha256_of(path)
    if found != expected:
        path.unlink()
        raise DownloadError(
            f"{what} is not the file that was expected: its SHA-256 is {found}, not {expected}. It "
            "was removed. Try again; if it comes out the same, the file was changed at its source "
            "or on the way."
        )
