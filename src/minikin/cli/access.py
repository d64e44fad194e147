"""Who may use a server: its API keys, from the command line and from a file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from minikin.errors import SetupError


def read_api_keys(given: Iterable[str], file: Path | None) -> tuple[str, ...]:
    """The keys `given` and those in `file`, one a line; blank lines and space around don't count.

    Raises SetupError for a key that no client could send in a header, and for a file that can't be
    read or has no key: whoever names one doesn't mean a server that is open to all.
    """
    keys = [key.strip() for key in given]
    if file:
        from_file = [line.strip() for line in _read(file).splitlines() if line.strip()]
        if not from_file:
            raise SetupError(f"There is no key in {file}. Write one a line.")
        keys += from_file
    for at, key in enumerate(keys, 1):
        if not key or not all("!" <= char <= "~" for char in key):
            raise SetupError(
                f"API key {at} of {len(keys)} can't be used: a key is one word of ASCII letters, "
                "digits and signs."
            )
    return tuple(keys)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SetupError(f"Can't read the keys in {file}: {reason}.") from error
