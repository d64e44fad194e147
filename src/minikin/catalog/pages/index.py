"""The list pages: the catalog's index, authors, providers, models, evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

from minikin.catalog.facts import numbers
from minikin.catalog.facts.fact import Record
from minikin.catalog.facts.schema import capabilities
from minikin.catalog.pages.blocks import facts, make
from minikin.catalog.pages.choose import choice
from minikin.catalog.pages.page import Block, Cell, Code, Heading, Link, Page, Table
from minikin.catalog.pages.site_map import SiteMap
from minikin.catalog.sources.catalog import Catalog

_POLICIES = {
    "privacy policy": ("privacy_policy",),
    "terms": ("terms",),
    "training": ("trains_on_data", "training"),
    "retention": ("retains_data", "retention"),
    "moderation": ("moderated", "moderation"),
}
"""What a provider does with prompts and answers: the fields of each policy."""
_PART = 1_000
"""Offerings on one page: 200 KB of HTML."""


def index(site: SiteMap) -> Page:
    """The search for a model, what is proven, the content of the catalog, and its sources."""
    catalog = site.catalog
    blocks: list[Block] = [
        ("Find a model by what it does, what it costs, and what a probe of a server proved.",),
        choice(site),
        Heading(2, "What Is Proven"),
        _proven(site),
        Heading(2, "Content"),
        _totals(catalog),
        Heading(2, "Sources"),
        _sources(catalog),
    ]
    return make(site, "_index", "Model Catalog", "catalog", blocks)._replace(trail=[])


def _totals(catalog: Catalog) -> Table:
    offered = len(catalog.offerings)
    priced = sum(row.state("price_input") == "known" for row in catalog.offerings.values())
    results = [result for found in catalog.evidence.values() for result in found.counted]
    verified = sum(result.outcome == "verified" for result in results)
    rows: list[list[Cell]] = [
        [Link("Authors", "authors/_index"), f"{len(catalog.authors):,}"],
        [Link("Models", "models/_index"), f"{len(catalog.models):,}"],
        [Link("Providers", "providers/_index"), f"{len(catalog.providers):,}"],
        [Link("Offerings", "offerings/_index"), f"{offered:,}"],
        ["Offerings with a price", f"{priced:,} ({priced / max(offered, 1):.0%})"],
        [Link("Probed offerings", "evidence/_index"), f"{len(catalog.evidence):,}"],
        ["Verified capabilities", f"{verified:,} of {len(results):,} probed"],
    ]
    return Table(["", "Count"], rows)


def _sources(catalog: Catalog) -> Table:
    stated = Counter(
        (fact.source, fact.date)
        for row in catalog.offerings.values()
        for known in row.facts.values()
        for fact in known
    )
    rows: list[list[Cell]] = [
        [source, date, f"{count:,}"] for (source, date), count in sorted(stated.items())
    ]
    return Table(["Source", "As of", "Facts on offerings"], rows)


def author(site: SiteMap, record: Record) -> Page:
    """An author and all its models."""
    models = site.catalog.models_by(record)
    blocks: list[Block] = [
        *([(text,)] if (text := record.value("description")) else []),
        Table(["Field", "Value", "Source"], facts(record)),
        Heading(2, f"{len(models)} Models"),
        _models(site, models),
    ]
    trail = [Link("Authors", "authors/_index")]
    return make(site, site.path("author", record), record.name, "author", blocks, trail)


def _models(site: SiteMap, models: list[Record]) -> Table:
    rows: list[list[Cell]] = []
    for row in models:
        home = site.catalog.home(row) or Record("offering", "", {})
        rows.append(
            [
                site.link(row, row.id),
                row.value("release_date") or numbers.UNKNOWN,
                numbers.tokens(home.value("context")),
                numbers.price_pair(home),
                f"{len(site.catalog.offerings_of(row))}",
            ]
        )
    return Table(["Model", "Released", "Context", "Pricing (Input/Output)", "Offerings"], rows)


def provider(site: SiteMap, record: Record) -> Page:
    """A provider: its API, its policies, and its offerings by family."""
    families: dict[str, list[Record]] = {}
    for row in site.catalog.offerings_at(record):
        served = site.catalog.models[site.catalog.model_of(row)]
        families.setdefault(served.value("family") or "other", []).append(row)
    known = facts(record, hide=_policy_fields())
    blocks: list[Block] = [
        Table(["Field", "Value", "Source"], known) if known else ("Nothing else is known.",),
        Heading(2, "Policies"),
        *_policies(record),
        Heading(2, "Models"),
    ]
    for family in sorted(families):
        rows: list[list[Cell]] = [
            [
                site.link(row),
                Code(row.id.partition("/")[2]),
                numbers.tokens(row.value("context")),
                numbers.price_pair(row),
            ]
            for row in families[family]
        ]
        titles = ["Model", "Id", "Context", "Pricing (Input/Output)"]
        blocks += [Heading(3, family), Table(titles, rows)]
    trail = [Link("Providers", "providers/_index")]
    return make(site, site.path("provider", record), record.name, "provider", blocks, trail)


def _policies(record: Record) -> list[Block]:
    """What is known of a provider's policies, and which of them are unknown."""
    rows = facts(record, *_policy_fields())
    blocks: list[Block] = [Table(["Policy", "Value", "Source"], rows)] if rows else []
    unknown = [
        title for title, fields in _POLICIES.items() if not any(f in record.facts for f in fields)
    ]
    return [*blocks, (f"Unknown: {', '.join(unknown)}.",)] if unknown else blocks


def _policy_fields() -> list[str]:
    return [field for fields in _POLICIES.values() for field in fields]


def authors(site: SiteMap) -> Page:
    """Every author."""
    rows: list[list[Cell]] = [
        [site.link(row), f"{len(site.catalog.models_by(row))}"]
        for row in site.catalog.authors.values()
    ]
    return make(site, "authors/_index", "Authors", "authors", [Table(["Author", "Models"], rows)])


def providers(site: SiteMap) -> Page:
    """Every provider."""
    rows: list[list[Cell]] = []
    for row in site.catalog.providers.values():
        offered = f"{len(site.catalog.offerings_at(row))}"
        base = row.value("api_base")
        rows.append([site.link(row), offered, Code(base) if base else numbers.UNKNOWN])
    table = Table(["Provider", "Offerings", "API base URL"], rows)
    return make(site, "providers/_index", "Providers", "providers", [table])


def models(site: SiteMap) -> Page:
    """Every model."""
    table = _models(site, list(site.catalog.models.values()))
    return make(site, "models/_index", "Models", "models", [table])


def offering_pages(site: SiteMap) -> dict[str, Callable[[SiteMap], Page]]:
    """The list of all offerings: an index, and parts of it that a phone can load."""
    records = list(site.catalog.offerings.values())
    parts = [records[at : at + _PART] for at in range(0, len(records), _PART)]
    paths = [f"offerings/page-{number}" for number in range(1, len(parts) + 1)]
    made: dict[str, Callable[[SiteMap], Page]] = {
        path: partial(_part, path=path, records=part)
        for path, part in zip(paths, parts, strict=True)
    }
    return {"offerings/_index": partial(_parts, parts=dict(zip(paths, parts, strict=True)))} | made


def _parts(site: SiteMap, parts: dict[str, list[Record]]) -> Page:
    rows: list[list[Cell]] = [
        [
            Link(f"Page {number}", path),
            f"{len(part):,}",
            [Code(part[0].id), " to ", Code(part[-1].id)],
        ]
        for number, (path, part) in enumerate(parts.items(), 1)
    ]
    said = (
        "An offering is a model at a provider. ",
        Link("The search", "_index"),
        " finds models. The page of a model lists its offerings, and so does that of a ",
        Link("provider", "providers/_index"),
        ".",
    )
    blocks: list[Block] = [said, Table(["Page", "Offerings", "From"], rows)]
    return make(site, "offerings/_index", "Offerings", "offerings", blocks)


def _part(site: SiteMap, path: str, records: list[Record]) -> Page:
    """Offerings with the capabilities that matter most for a choice."""
    rows: list[list[Cell]] = [
        [
            site.link(row, row.id),
            numbers.tokens(row.value("context")),
            numbers.tokens(row.value("max_output")),
            numbers.price_pair(row),
            " ".join(name for name in _telling() if row.state(name) == "known"),
        ]
        for row in records
    ]
    titles = ["Offering", "Context", "Max Output", "Pricing (Input/Output)", "Beyond Text"]
    title = f"Offerings, Page {path.rpartition('-')[2]}"
    trail = [Link("Offerings", "offerings/_index")]
    return make(site, path, title, "offerings", [Table(titles, rows)], trail)


def _telling() -> list[str]:
    return [
        name
        for name in capabilities()
        if name in ("tools", "structured_outputs", "reasoning")
        or (name.startswith(("input_", "output_")) and not name.endswith("_text"))
    ]


def evidence(site: SiteMap) -> Page:
    """Every probed offering, and what no probe can observe."""
    unseen: list[list[Cell]] = [
        [Code(c.id), c.meaning, c.unobservable] for c in capabilities().values() if c.unobservable
    ]
    blocks: list[Block] = [
        _proven(site),
        Heading(2, "Not Observable"),
        ("No probe can observe these capabilities. A declaration of one stays a declaration.",),
        Table(["Capability", "Meaning", "Reason"], unseen),
    ]
    return make(site, "evidence/_index", "Evidence", "evidence-list", blocks)


def _proven(site: SiteMap) -> Block:
    rows: list[list[Cell]] = []
    for key, found in site.catalog.evidence.items():
        record = site.catalog.offerings[key]
        verified = sum(result.outcome == "verified" for result in found.results)
        latest = max((result.at for result in found.results), default="")
        link = Link(record.id, site.path("evidence", record))
        rows.append([link, f"{verified} of {len(found.counted)}", latest, Code(found.endpoint)])
    table = Table(["Offering", "Verified", "Last probed", "Endpoint"], rows)
    return table if rows else ("Nothing has been probed yet.",)


PAGES: dict[str, Callable[[SiteMap], Page]] = {
    "_index": index,
    "authors/_index": authors,
    "providers/_index": providers,
    "models/_index": models,
    "evidence/_index": evidence,
}
