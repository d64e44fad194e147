"""A server's API keys, from the command line and from a file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from minikin.errors import SetupError


def read_api_keys(given: Iterable[str], file: Path | None) -> tuple[str, ...]:
    """The keys `given` and those in `file`, one per line, without blank lines and outer space.

    Raises SetupError for a key that a client cannot send in a header, and for a file that cannot
    be read or contains no key. A user who names a file does not want a server without keys.
    """
    keys = [key.strip() for key in given]
    if file:
        from_file = [line.strip() for line in _read(file).splitlines() if line.strip()]
        if not from_file:
            raise SetupError(f"{file} contains no API key. Write one key per line.")
        keys += from_file
    for at, key in enumerate(keys, 1):
        if not key or not all("!" <= char <= "~" for char in key):
            raise SetupError(
                f"API key {at} of {len(keys)} is not valid: a key is one word of ASCII letters, "
                "digits and punctuation."
            )
    return tuple(keys)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a text file"
        raise SetupError(f"Cannot read the API keys in {file}: {reason}.") from error
