"""Which paths need no key: the probes, and the files of the page, which hold no data.

And which need a key of the operator, if the server has one.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import Scope

PROBES = frozenset({"/health", "/ready"})
"""They need no key, and answer to any host name."""
METRICS = "/metrics"
"""Programs ask for it all the time, as for the probes, but it needs a key."""
PAGE = "/"
DOCS = "/docs"
DASHBOARD = "/dashboard"
FOR_OPERATOR = frozenset({METRICS, f"{DASHBOARD}.json"})
"""What shows the work of all keys."""
FOR_OPERATOR_BELOW = ("/admin/", f"{DASHBOARD}/")
PAGE_FILES = "/page/"
CATALOG = "/catalog/"
CATALOG_FILES = (".css", ".js")
"""The ends of its files without data: how its pages look."""
BADGES = f"{CATALOG}badges/"
"""Drawings of capabilities, whoever has them."""
_READING = ("GET", "HEAD")


def is_public(scope: Scope, *, with_catalog: bool) -> bool:
    """Whether a request for anything but PROBES needs no key.

    `with_catalog`: clients without a key can read the catalog.
    """
    path: str = scope["path"]
    if path.startswith(PAGE_FILES):
        return True
    if with_catalog and f"{path}/".startswith(CATALOG) and scope["method"] in _READING:
        return True
    if path.startswith(BADGES) or (path.startswith(CATALOG) and path.endswith(CATALOG_FILES)):
        return True
    return path.removesuffix("/") in ("", DOCS, DASHBOARD) and wants_page(scope)


def is_for_operator(scope: Scope) -> bool:
    """Whether a request asks for what only the operator sees."""
    path: str = scope["path"]
    return path in FOR_OPERATOR or path.startswith(FOR_OPERATOR_BELOW)


def wants_page(scope: Scope) -> bool:
    """Whether a browser asks for something to show. Programs get JSON."""
    accepted = Headers(scope=scope).get("accept", "")
    return scope["method"] in _READING and "text/html" in accepted
