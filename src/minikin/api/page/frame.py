"""What every page for people has: the header with links to the others, and the icon."""

from __future__ import annotations

from html import escape
from typing import Literal

Place = Literal["", "dashboard", "docs", "catalog"]
"""The pages, by their paths from the server's root."""
_PLACES: dict[Place, str] = {
    "": "Playground",
    "dashboard": "Dashboard",
    "docs": "API",
    "catalog": "Catalog",
}


def head(home: str = "") -> str:
    """Links for a page's head. `home` is the relative path to the server's root, such as `../`."""
    return (
        f'<link rel="icon" href="{escape(home)}page/icon.svg" type="image/svg+xml">\n'
        f'<link rel="stylesheet" href="{escape(home)}page/theme.css">'
    )


def header(current: Place, home: str = "") -> str:
    """The header of the page `current`."""
    links = (
        f'<a href="{escape(home + path) or "."}"{_mark(path == current)}>{name}</a>'
        for path, name in _PLACES.items()
    )
    return (
        '<header class="site">\n<nav aria-label="Site">\n'
        f'<span class="name"><img src="{escape(home)}page/icon.svg" alt="">Minikin</span>\n'
        + "\n".join(links)
        + "\n</nav>\n</header>"
    )


def _mark(is_current: bool) -> str:
    return ' aria-current="page"' if is_current else ""
