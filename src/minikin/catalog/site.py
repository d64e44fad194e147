"""The whole site: which pages there are, where, and how they are written to a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path

from minikin.catalog import pages_compare, pages_index, pages_model, pages_offering
from minikin.catalog.badge import Badge
from minikin.catalog.catalog import Catalog
from minikin.catalog.fact import Record
from minikin.catalog.page import FOLDER, HTML, MARKDOWN, Link, Page, render
from minikin.errors import NotFound, SetupError

ASSETS = {name: (FOLDER / name).read_text(encoding="utf-8") for name in ("style.css", "table.js")}
"""Files beside the HTML pages."""
_HUGO = """\
# `hugo` finds every page and link of `content/` with these settings; add a theme of your own.
title = "Model catalog"
uglyURLs = true
disablePathToLower = true
[markup.goldmark.renderHooks.link]
useEmbedded = "always"
[[module.mounts]]
source = "content"
target = "content"
[[module.mounts]]
source = "content/badges"
target = "static/badges"
"""


def build_time() -> datetime:
    """SOURCE_DATE_EPOCH where it is set, so that the same input gives the same bytes; else now.

    Raises SetupError when it is set to something other than whole seconds.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is None:
        return datetime.now(UTC)
    try:
        return datetime.fromtimestamp(int(epoch), UTC)
    except (ValueError, OverflowError, OSError):
        raise SetupError("SOURCE_DATE_EPOCH must be whole seconds since 1970.") from None


class Site:
    """Pages by path, each made when it is asked for."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._paths: dict[tuple[str, str], str] = {}
        self._makers: dict[str, Callable[[], Page]] = {}
        self._assign("author", "authors", catalog.authors.values(), pages_index.author)
        self._assign("provider", "providers", catalog.providers.values(), pages_index.provider)
        self._assign("model", "models", catalog.models.values(), pages_model.model)
        self._assign("offering", "offerings", catalog.offerings.values(), pages_offering.offering)
        probed = [catalog.offerings[key] for key in catalog.evidence]
        self._assign("evidence", "evidence", probed, pages_offering.evidence)
        for path, make in (pages_index.PAGES | pages_compare.PAGES).items():
            self._makers[path] = partial(make, self)

    def page(self, path: str) -> Page:
        """The page at a path. Raises NotFound."""
        if path not in self._makers:
            raise NotFound(f"The catalog has no page {path!r}.")
        return self._makers[path]()

    def pages(self) -> Iterable[Page]:
        """Every page."""
        return (make() for make in self._makers.values())

    def path(self, kind: str, record: Record) -> str:
        """Where the page of a record (or of its evidence) is."""
        return self._paths[kind, record.id]

    def link(self, record: Record, text: str | None = None) -> Link:
        """A link to the record's page."""
        return Link(text or record.name, self.path(record.kind, record))

    def write(self, folder: Path, shields: bool = False) -> int:
        """Write `content/` (Markdown), `html/` and `hugo.toml`; gives the number of pages."""
        forms = {"content": MARKDOWN._replace(shields=shields), "html": HTML}
        files: dict[str, str] = {f"html/{name}": text for name, text in ASSETS.items()}
        files["hugo.toml"] = _HUGO
        badges: dict[str, Badge] = {}
        count = 0
        for page in self.pages():
            count += 1
            for root, form in forms.items():
                _write(folder / root / form.file(page.path), render(page, form))
                badges |= {f"{root}/badges/{badge.file}": badge for badge in _badges(page)}
        for name, text in (files | {name: badge.svg() for name, badge in badges.items()}).items():
            _write(folder / name, text)
        return count

    def _assign(
        self, kind: str, root: str, records: Iterable[Record], make: Callable[..., Page]
    ) -> None:
        for record in records:
            parts = record.id.split("/", 1) if kind in _OF_PROVIDER else [record.id]
            path = "/".join([root, *map(slug, parts)])
            if path in self._makers or path.endswith("/index"):
                # Two ids that differ only in signs, or one that takes the name of a folder's page.
                path += f"-{sha256(record.id.encode()).hexdigest()[:6]}"
            self._paths[kind, record.id] = path
            self._makers[path] = partial(make, self, record)


_OF_PROVIDER = ("offering", "evidence")


def slug(text: str) -> str:
    """A file name for an id: lower case, digits, dots and dashes."""
    return re.sub(r"[^a-z0-9.]+|[.]{2,}", "-", text.lower()).strip("-.") or "x"


def _badges(page: Page) -> Iterable[Badge]:
    for block in page.blocks:
        if isinstance(block, tuple):
            yield from (item for item in block if isinstance(item, Badge))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except FileNotFoundError:
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8", newline="\n")
