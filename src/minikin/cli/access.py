"""Who can use a server: clients with an API key, and web pages."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from minikin.errors import SetupError

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[a-z0-9._:\[\]-]+")
"""As browsers write it: in lower case, and nothing after the host and port."""


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


def read_origins(given: Iterable[str]) -> tuple[str, ...]:
    """The origins `given`, as browsers send them. Raises SetupError for what is not an origin."""
    origins = tuple(_without_default_port(origin.strip().lower()) for origin in given)
    for origin in origins:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise SetupError(
                f"{origin!a} is not an origin. Write scheme, host and port, without a path: "
                "--allowed-origin http://localhost:5173"
            )
    return origins


def _without_default_port(origin: str) -> str:
    """Browsers leave the port out where it goes without saying."""
    if origin.startswith("http://"):
        return origin.removesuffix(":80")
    return origin.removesuffix(":443") if origin.startswith("https://") else origin


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a text file"
        raise SetupError(f"Cannot read the API keys in {file}: {reason}.") from error
