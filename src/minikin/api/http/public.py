"""Which paths need no key: the probes, and the files of the page, which hold no data."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import Scope

PROBES = frozenset({"/health", "/ready"})
METRICS = "/metrics"
"""Programs ask for it all the time, as for the probes, but it needs a key."""
PAGE = "/"
DOCS = "/docs"
PAGE_FILES = "/page/"


def is_public(scope: Scope) -> bool:
    """Whether a request needs no key."""
    path: str = scope["path"]
    if path in PROBES or path.startswith(PAGE_FILES):
        return True
    return path in (PAGE, DOCS) and wants_page(scope)


def wants_page(scope: Scope) -> bool:
    """Whether a browser asks for something to show. Programs get JSON."""
    accepted = Headers(scope=scope).get("accept", "")
    return scope["method"] in ("GET", "HEAD") and "text/html" in accepted
