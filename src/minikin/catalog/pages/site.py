"""The complete site: its pages, their paths, and writing them to a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path

from minikin.catalog.facts.evidence import BadgeState
from minikin.catalog.facts.fact import Record
from minikin.catalog.facts.schema import capabilities
from minikin.catalog.pages import compare, export, feed, index, model, offering
from minikin.catalog.pages.badge import Badge, score
from minikin.catalog.pages.page import CHOICE, FOLDER, HTML, MARKDOWN, Page, render
from minikin.catalog.pages.site_map import Kind, SiteMap
from minikin.catalog.sources.catalog import Catalog
from minikin.errors import NotFound, SetupError

ASSETS = {
    name: (FOLDER / name).read_text(encoding="utf-8")
    for name in ("style.css", "choose.css", "table.js", *CHOICE)
}
"""Files beside the HTML pages."""
SCORE = "verified"
"""The name of the drawing that counts what is verified."""
_HUGO = """\
# With these settings, `hugo` finds every page and link of `content/`. Add a theme.
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


_MAKERS: dict[Kind, Callable[[SiteMap, Record], Page]] = {
    "author": index.author,
    "provider": index.provider,
    "model": model.model,
    "offering": offering.offering,
    "evidence": offering.evidence,
}


def build_time() -> datetime:
    """SOURCE_DATE_EPOCH if it is set, so that the same input gives the same bytes. Otherwise now.

    Raises SetupError if it is not a number of whole seconds.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is None:
        return datetime.now(UTC)
    try:
        return datetime.fromtimestamp(int(epoch), UTC)
    except (ValueError, OverflowError, OSError):
        raise SetupError("SOURCE_DATE_EPOCH must be whole seconds since 1970.") from None


class Site:
    """Pages by path. Each is made on request."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.map = site_map = SiteMap(catalog)
        self._makers: dict[str, Callable[[], Page]] = {
            site_map.path(kind, record): partial(make, site_map, record)
            for kind, make in _MAKERS.items()
            for record in site_map.records[kind]
        }
        for path, make in (index.PAGES | compare.PAGES | index.offering_pages(site_map)).items():
            self._makers[path] = partial(make, site_map)

    @cached_property
    def api(self) -> bytes:
        """The whole catalog as JSON."""
        return export.api(self.catalog)

    @cached_property
    def feed(self) -> bytes:
        """The newest changes, for readers of feeds."""
        return feed.feed(self.map)

    @cached_property
    def proofs(self) -> dict[str, Callable[[], str]]:
        """The drawings of what probes saw of each offering, by their paths, for other pages."""
        return dict(self._proofs())

    def _proofs(self) -> Iterable[tuple[str, Callable[[], str]]]:
        for record in self.map.records["evidence"]:
            folder = self.map.path("evidence", record)
            found = self.catalog.evidence[record.id.lower()]
            states: dict[str, BadgeState] = {
                r.capability: self.catalog.badge(record, r.capability)[0] for r in found.results
            }
            verified = sum(state == "verified" for state in states.values())
            yield f"{folder}/{SCORE}.svg", partial(score, found, verified)
            for name, state in states.items():
                if name in capabilities():
                    yield f"{folder}/{name}.svg", Badge(capabilities()[name], state, None).svg

    def page(self, path: str) -> Page:
        """The page at a path. Raises NotFound."""
        if path not in self._makers:
            raise NotFound(f"The catalog has no page {path!r}.")
        return self._makers[path]()

    def pages(self) -> Iterable[Page]:
        """Every page."""
        return (make() for make in self._makers.values())

    def write(self, folder: Path, shields: bool = False) -> int:
        """Write `content/` (Markdown), `html/` and `hugo.toml`. Returns the number of pages."""
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
        files |= {f"html/{path}": draw() for path, draw in self.proofs.items()}
        for name, text in (files | {name: badge.svg() for name, badge in badges.items()}).items():
            _write(folder / name, text)
        whole = {
            "api.json": self.api,
            "api.schema.json": export.schema(),
            "feed.xml": self.feed,
        }
        for name, data in whole.items():
            (folder / "html" / name).write_bytes(data)
        return count


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
