"""The check that a file is the expected one."""

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

    `what` names the file in the message.
    """
    found = sha256_of(path)
    if found != expected:
        path.unlink()
        raise DownloadError(
            f"{what} is not the expected file: its SHA-256 is {found}, not {expected}. It was "
            "deleted. Try again. If the result is the same, the file was changed at its source or "
            "in transit."
        )
