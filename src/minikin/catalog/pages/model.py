"""The page of a model: facts, capabilities, offerings."""

from __future__ import annotations

from urllib.parse import quote

from minikin.catalog.facts import numbers
from minikin.catalog.facts.fact import Record
from minikin.catalog.pages.blocks import capability_blocks, conflict_blocks, facts, make, origin
from minikin.catalog.pages.page import Block, Cell, Code, Heading, Inline, Link, Page, Table
from minikin.catalog.pages.site_map import SiteMap

_SIBLINGS = 5


def model(site: SiteMap, record: Record) -> Page:
    """The page of a model. Every value has a source."""
    catalog = site.catalog
    authors = catalog.authors_of(record)
    home = catalog.home(record)
    blocks: list[Block] = []
    if text := record.value("description"):
        blocks.append((text,))
    by: list[Inline] = []
    for author in authors:
        by += [", " if by else "", site.link(author)]
    blocks.append(("Developed by: ", *(by or ["unknown"])))
    if moving := catalog.snapshot_of(record):
        blocks.append(
            ("A snapshot of ", site.link(moving), ", whose name moves between snapshots.")
        )
    blocks += [Heading(2, "Technical Specifications"), _specifications(record, home)]
    blocks.append(Heading(2, "Capabilities"))
    probed = home is not None and home.id.lower() in catalog.evidence
    evidence = site.path("evidence", home) if home is not None and probed else None
    blocks += [*_legend(site, home, evidence), *capability_blocks(site, home, evidence)]
    for row in catalog.stand_ins(record):
        if row.id.lower() in catalog.evidence:
            blocks += _proof(site, row)
    blocks += _providers(site, record)
    blocks += conflict_blocks(site, [record, *([home] if home else [])])
    blocks += _related(site, record, authors)
    trail = [Link("Authors", "authors/_index"), *(site.link(author) for author in authors[:1])]
    if not authors:
        trail = [Link("Models", "models/_index")]
    names = ", ".join(author.name for author in authors) or None
    return make(site, site.path("model", record), record.id, "model", blocks, trail, names)


def _proof(site: SiteMap, row: Record) -> list[Block]:
    """What a probe saw at a server that uses this model's name for its own model."""
    served = site.catalog.models[site.catalog.model_of(row)]
    provider = site.catalog.provider_of(row)
    evidence = site.path("evidence", row)
    said = (
        site.link(row, provider.name),
        " answers this name with ",
        site.link(served),
        ". Filled badges are probed. Each links to its ",
        Link("evidence", evidence),
        ".",
    )
    heading = Heading(3, f"As Answered by {provider.name}")
    return [heading, said, *capability_blocks(site, row, evidence)]


def _specifications(record: Record, home: Record | None) -> Table:
    # Limits that the author does not give come from the representative offering.
    limits = {f: home.facts[f] for f in ("context", "max_output") if home and f in home.facts}
    whole = Record("model", record.id, limits | record.facts)
    rows: list[list[Cell]] = [["Model ID", Code(record.id), ""]]
    if record.name != record.id:
        rows.append(["Name", record.name, origin(record.facts["name"][0])])
    rows += facts(whole)
    return Table(["Specification", "Value", "Source"], rows)


def _legend(site: SiteMap, home: Record | None, evidence: str | None) -> list[Block]:
    if home is None:
        return []
    said: list[Inline] = [
        "As offered by ",
        site.link(home, site.catalog.provider_of(home).name),
        ". ",
    ]
    if evidence:
        return [
            (*said, "Filled badges are probed. Each links to its ", Link("evidence", evidence), ".")
        ]
    return [(*said, "Hollow badges are declared, not probed.")]


def _providers(site: SiteMap, record: Record) -> list[Block]:
    rows: list[list[Cell]] = []
    for row in site.catalog.offerings_of(record):
        notes: list[Inline] = [row.value("status") or ""]
        if row.id.lower() in site.catalog.evidence:
            notes += [" " if notes[0] else "", Link("evidence", site.path("evidence", row))]
        rows.append(
            [
                site.link(row, site.catalog.provider_of(row).name),
                numbers.tokens(row.value("context")),
                numbers.price_pair(row),
                notes,
            ]
        )
    blocks: list[Block] = [Heading(2, "Provider Availability")]
    if rows:
        blocks.append(("Prices are in US dollars per million tokens. A dash means unknown.",))
        blocks.append(Table(["Provider", "Context", "Pricing (Input/Output)", "Notes"], rows))
    else:
        blocks.append(("No provider is known.",))
    for row in site.catalog.stand_ins(record):
        name = site.catalog.provider_of(row).name
        other = site.catalog.models[site.catalog.model_of(row)]
        weights = site.link(other)
        said = (" uses this name for ", weights, ".")
        blocks.append((site.link(row, name), *said))
    return blocks


def _related(site: SiteMap, record: Record, authors: list[Record]) -> list[Block]:
    links: list[Cell] = [site.link(author, f"All {author.name} Models") for author in authors]
    links.append(Link("Model Comparison", "comparisons/_index"))
    links.append(Link("Compare with Other Models", f"_index#compare={quote(record.id, safe='')}"))
    blocks: list[Block] = [Heading(3, "Related Resources"), links]
    others = [
        row for author in authors[:1] for row in site.catalog.models_by(author) if row is not record
    ]
    others.sort(key=lambda row: row.value("release_date") or "", reverse=True)
    others.sort(key=lambda row: row.value("family") != record.value("family"))
    if others:
        listed: list[Cell] = [site.link(row, row.id) for row in others[:_SIBLINGS]]
        if len(others) > _SIBLINGS:
            listed.append(f"...and {len(others) - _SIBLINGS} more")
        blocks += [Heading(3, "Other Models by This Author"), listed]
    return blocks
