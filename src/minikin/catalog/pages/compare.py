"""Comparisons: capabilities side by side, the cheapest, the longest contexts."""

from __future__ import annotations

import re
from collections.abc import Callable

from minikin.catalog.facts import numbers
from minikin.catalog.facts.fact import Record
from minikin.catalog.facts.prices import Job, cost
from minikin.catalog.facts.schema import capabilities
from minikin.catalog.pages.blocks import make
from minikin.catalog.pages.page import Block, Cell, Link, Page, Table
from minikin.catalog.pages.site_map import SiteMap

_ROWS = 100
_NEWEST = 3
_SIGNS = {"verified": "✓", "declared": "yes", "failed": "✗", "stale": "stale", "absent": "no"}
SPECIAL = re.compile(r"guard|rerank|embed|ocr|moderation|safety|translat|-mt-|reward|classif")
"""Parts of the ids of models that check, rank, embed or read, and do not chat."""
_TRAIL = [Link("Comparisons", "comparisons/_index")]


def index(site: SiteMap) -> Page:
    """The list of comparisons."""
    links: list[Cell] = [
        Link("Any models, side by side", "_index#view=compare"),
        Link("Price against context", "_index#view=chart"),
        Link("Capabilities, side by side", "comparisons/capabilities"),
        Link("Cheapest offerings", "comparisons/cheapest"),
        Link("Longest contexts", "comparisons/longest-context"),
    ]
    return make(site, "comparisons/_index", "Comparisons", "comparisons", [links])


def matrix(site: SiteMap) -> Page:
    """Probed offerings, and the newest offering of each author on its own service."""
    catalog = site.catalog
    rows = [catalog.offerings[key] for key in catalog.evidence]
    for author in catalog.authors.values():
        service = f"{author.value('provider')}/".lower()
        homes = [catalog.home(row) for row in catalog.models_by(author)]
        own = [row for row in homes if row and row.id.lower().startswith(service)]
        own.sort(key=lambda row: (_released(site, row), row.id), reverse=True)
        rows += [row for row in own[:_NEWEST] if row not in rows]
    shown = [c for c in capabilities().values() if c.group in ("core", "further")]
    table: list[list[Cell]] = [
        [
            site.link(row, row.id),
            *(_SIGNS.get(catalog.badge(row, capability.id)[0], "") for capability in shown),
        ]
        for row in rows
    ]
    legend = "✓ verified by a probe; yes: declared; ✗ failed a probe; no: known to be absent; "
    blocks: list[Block] = [
        (legend + "stale: probed too long ago; empty: unknown.",),
        Table(["Offering", *(c.id for c in shown)], table),
    ]
    path = "comparisons/capabilities"
    return make(site, path, "Capabilities Side by Side", "comparison", blocks, _TRAIL)


def _released(site: SiteMap, offering: Record) -> str:
    return site.catalog.models[site.catalog.model_of(offering)].value("release_date") or ""


def cheapest(site: SiteMap) -> Page:
    """Text offerings by the cost of 1,000 input and 500 output tokens. Free ones are counted.

    If only one side has a price, the model embeds or transcribes. It is not comparable.
    """
    writing = (row for row in site.catalog.offerings.values() if _writes(row))
    costs = [(cost(row, Job(1000, 500)).usd, row) for row in writing]
    free = sum(amount == 0 for amount, _ in costs)
    paid = sorted(((amount, row.id, row) for amount, row in costs if amount))[:_ROWS]
    rows: list[list[Cell]] = [
        [site.link(row, id), numbers.amount(amount), numbers.price_pair(row)]
        for amount, id, row in paid
    ]
    blocks: list[Block] = [
        (f"The cost of a call with 1,000 input and 500 output tokens. {free} offerings are free.",),
        Table(["Offering", "A call", "Pricing (Input/Output)"], rows),
    ]
    return make(site, "comparisons/cheapest", "Cheapest Offerings", "comparison", blocks, _TRAIL)


def _writes(offering: Record) -> bool:
    """Whether it is offered, and chats. A model without a chat's parameters ranks or checks."""
    prices = [offering.value("price_input"), offering.value("price_output")]
    chats = any(offering.state(name) == "known" for name in ("tools", "temperature", "reasoning"))
    gone = offering.value("status") in ("deprecated", "removed")
    special = SPECIAL.search(offering.id.lower())
    whole = all(prices) or not any(prices)
    return offering.state("text") == "known" and chats and whole and not (gone or special)


def longest(site: SiteMap) -> Page:
    """Offerings by context window."""
    known = [row for row in site.catalog.offerings.values() if row.value("context")]
    known.sort(key=lambda row: (-row.value("context"), row.id))
    rows: list[list[Cell]] = [
        [site.link(row, row.id), f"{row.value('context'):,}", numbers.price_pair(row)]
        for row in known[:_ROWS]
    ]
    blocks: list[Block] = [Table(["Offering", "Context", "Pricing (Input/Output)"], rows)]
    path = "comparisons/longest-context"
    return make(site, path, "Longest Contexts", "comparison", blocks, _TRAIL)


PAGES: dict[str, Callable[[SiteMap], Page]] = {
    "comparisons/_index": index,
    "comparisons/capabilities": matrix,
    "comparisons/cheapest": cheapest,
    "comparisons/longest-context": longest,
}
