"""Which web pages can use a server."""

from __future__ import annotations

import re
from collections.abc import Iterable

from minikin.errors import SetupError

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[a-z0-9._:\[\]-]+")
"""As browsers write it: in lower case, and nothing after the host and port."""


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
