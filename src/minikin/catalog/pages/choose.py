"""The data of the search on the front page: what a choice between models needs, a row for each.

The page contains the data, so that it works in a folder, and behind a key.
"""

from __future__ import annotations

import json
from typing import Any

from minikin.catalog.facts import numbers
from minikin.catalog.facts.evidence import BadgeState
from minikin.catalog.facts.fact import Record
from minikin.catalog.facts.prices import BILLING, prices_of
from minikin.catalog.facts.schema import capabilities
from minikin.catalog.pages.compare import SPECIAL
from minikin.catalog.pages.page import Cell, Choice, Table
from minikin.catalog.pages.site_map import SiteMap
from minikin.catalog.sources.catalog import Catalog

_NEWEST = 20
_BEST: tuple[BadgeState, ...] = ("verified", "declared", "stale", "failed", "absent", "unknown")
"""The states of a capability. A model has the best one of its offerings."""


def choice(site: SiteMap) -> Choice:
    """The search, and the newest models for a reader without scripts."""
    catalog = site.catalog
    authors: dict[str, int] = {}
    patterns: dict[str, int] = {}
    rows: list[list[Any]] = []
    for model in catalog.models.values():
        named = ", ".join(author.name for author in catalog.authors_of(model))
        states = _states(catalog, model)
        path = site.path("model", model).removeprefix("models/")
        shown = shown_offering(catalog, model)
        row = [
            model.id,
            model.name if model.name != model.id else 0,
            path if path != model.id else 0,
            authors.setdefault(named, len(authors)),
            model.value("release_date") or 0,
            *(_limit(model, shown, name) for name in ("context", "max_output")),
            *_prices(shown),
            {"known": 1, "absent": 0}.get(model.state("open_weights"), -1),
            len(catalog.offerings_of(model)),
            patterns.setdefault(states, len(patterns)),
            int(_chats(catalog, model)),
            _speed(catalog, model),
            sum(_verified(catalog, offering) for offering in catalog.offerings_of(model)),
            *_of_jobs(shown),
        ]
        rows.append(row)
    data = {
        "capabilities": [
            [name, _words(name), int(not known.unobservable)]
            for name, known in capabilities().items()
        ],
        "states": _BEST,
        "authors": list(authors),
        "patterns": list(patterns),
        "rows": rows,
    }
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return Choice(text, newest(site))


def newest(site: SiteMap) -> Table:
    """The models with the latest release dates."""
    catalog = site.catalog
    models = [row for row in catalog.models.values() if row.value("release_date")]
    models.sort(key=lambda row: (row.value("release_date"), row.id), reverse=True)
    rows: list[list[Cell]] = []
    for model in models[:_NEWEST]:
        shown = shown_offering(catalog, model)
        rows.append(
            [
                site.link(model, model.id),
                ", ".join(author.name for author in catalog.authors_of(model)) or numbers.UNKNOWN,
                model.value("release_date"),
                numbers.tokens(_limit(model, shown, "context") or None),
                numbers.price_pair(shown),
            ]
        )
    return Table(["Newest model", "Author", "Released", "Context", "Pricing (Input/Output)"], rows)


def _words(name: str) -> str:
    """A capability as words: `image input`."""
    side, _, rest = name.replace("pdf", "PDF").partition("_")
    return f"{rest} {side}" if side in ("input", "output") else name.replace("_", " ")


def shown_offering(catalog: Catalog, model: Record) -> Record:
    """The offering whose price is shown: that of the author's service, or else the cheapest."""
    own = {author.value("provider") for author in catalog.authors_of(model)}
    offered = [row for row in catalog.offerings_of(model) if row.value("status") != "removed"]
    priced = sorted(
        ((row.id.split("/")[0] not in own, _mixed(row), row.id), row)
        for row in offered
        if _mixed(row) is not None
    )
    if priced:
        return priced[0][1]
    return offered[0] if offered else Record("offering", "", {})


def _mixed(offering: Record) -> float | None:
    """The price of three input tokens for each output token. None if either is unknown."""
    prices = prices_of(offering)
    sides = prices.get("input"), prices.get("output")
    return None if sides[0] is None or sides[1] is None else 3 * sides[0] + sides[1]


def _prices(offering: Record) -> list[Any]:
    prices = prices_of(offering)
    pair = [prices.get("input"), prices.get("output")]
    if pair == [None, None]:
        return [BILLING.get(offering.value("billing") or "", -1), -1]
    return [-1 if price is None else price for price in pair]


def _of_jobs(offering: Record) -> list[Any]:
    """What the price of a job needs beside the prices: the input limit, then the price tiers.

    A tier is [above, input, output]. -1: it does not change this price. Empty without either.
    """
    tiers = [
        [row["above"], row.get("input", -1), row.get("output", -1)]
        for row in sorted(prices_of(offering).get("tiers") or [], key=lambda row: row["above"])
    ]
    limit = offering.value("max_input") or 0
    return [limit, *tiers] if limit or tiers else []


def _limit(model: Record, offering: Record, name: str) -> int:
    return offering.value(name) or model.value(name) or 0


def _states(catalog: Catalog, model: Record) -> str:
    """A digit for the state of each capability, an index into `_BEST`. Unknown ones end it."""
    offered = catalog.offerings_of(model)
    ranks = [
        min((_BEST.index(catalog.badge(row, name)[0]) for row in offered), default=len(_BEST) - 1)
        for name in capabilities()
    ]
    return "".join(map(str, ranks)).rstrip(str(len(_BEST) - 1))


def _speed(catalog: Catalog, model: Record) -> float:
    """The most tokens per second of one answer that were measured anywhere."""
    found = (catalog.evidence.get(row.id.lower()) for row in catalog.offerings_of(model))
    return max((f.speed.tokens_per_second for f in found if f and f.speed), default=0)


def _chats(catalog: Catalog, model: Record) -> bool:
    """Whether it writes text, by a source or a probe. Others embed, rank, check or draw."""
    writes = any(
        row.state("text") == "known" or row.id.lower() in catalog.evidence
        for row in catalog.offerings_of(model)
    )
    return writes and not SPECIAL.search(model.id.lower())


def _verified(catalog: Catalog, offering: Record) -> int:
    found = catalog.evidence.get(offering.id.lower())
    results = found.results if found else ()
    return sum(catalog.badge(offering, r.capability)[0] == "verified" for r in results)
