"""The path of each record's page. Pages need nothing else from each other."""

from __future__ import annotations

import re
from collections.abc import Collection
from hashlib import sha256
from typing import Literal

from minikin.catalog.facts.fact import Record, RecordKind
from minikin.catalog.pages.page import Link
from minikin.catalog.sources.catalog import Catalog

Kind = RecordKind | Literal["evidence"]
FOLDERS: dict[Kind, str] = {
    "author": "authors",
    "provider": "providers",
    "model": "models",
    "offering": "offerings",
    "evidence": "evidence",
}
_OF_PROVIDER: tuple[Kind, ...] = ("offering", "evidence")
"""Kinds whose ids start with a provider, which becomes a folder."""


class SiteMap:
    """The path of each record's page, unique within the site."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.records: dict[Kind, Collection[Record]] = {
            "author": catalog.authors.values(),
            "provider": catalog.providers.values(),
            "model": catalog.models.values(),
            "offering": catalog.offerings.values(),
            "evidence": [catalog.offerings[key] for key in catalog.evidence],
        }
        self._paths: dict[tuple[str, str], str] = {}
        taken: set[str] = set()
        for kind, records in self.records.items():
            for record in records:
                path = self._paths[kind, record.id] = _free_path(kind, record, taken)
                taken.add(path)

    def path(self, kind: Kind, record: Record) -> str:
        """The path of the page of a record, or of its evidence."""
        return self._paths[kind, record.id]

    def link(self, record: Record, text: str | None = None) -> Link:
        """A link to the record's page."""
        return Link(text or record.name, self.path(record.kind, record))


def slug(text: str) -> str:
    """A file name for an id: lower case, digits, dots and dashes."""
    return re.sub(r"[^a-z0-9.]+|[.]{2,}", "-", text.lower()).strip("-.") or "x"


def _free_path(kind: Kind, record: Record, taken: set[str]) -> str:
    parts = record.id.split("/", 1) if kind in _OF_PROVIDER else [record.id]
    path = "/".join([FOLDERS[kind], *map(slug, parts)])
    if path in taken or path.endswith("/index"):
        # Two ids differ only in punctuation, or an id is the name of a folder's page.
        path += f"-{sha256(record.id.encode()).hexdigest()[:6]}"
    return path
