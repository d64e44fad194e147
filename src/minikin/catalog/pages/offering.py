"""The page of an offering, and the page of its evidence."""

from __future__ import annotations

from minikin.catalog.facts import numbers
from minikin.catalog.facts.evidence import Evidence, Result, is_stale
from minikin.catalog.facts.fact import Record
from minikin.catalog.facts.prices import BILLING, Job, cost, prices_of
from minikin.catalog.facts.schema import capabilities
from minikin.catalog.pages.blocks import capability_blocks, conflict_blocks, facts, make
from minikin.catalog.pages.page import Block, Cell, Code, Heading, Link, Page, Table
from minikin.catalog.pages.site_map import SiteMap

TYPICAL = {
    "A question: 200 input tokens, 200 output": (200, 200),
    "A summary of a page: 1,000 input, 150 output": (1_000, 150),
    "A long document: 50,000 input, 1,000 output": (50_000, 1_000),
}
"""Typical calls, as input and output tokens."""


def offering(site: SiteMap, record: Record) -> Page:
    """One provider's declared and observed offering of one model."""
    catalog = site.catalog
    provider = catalog.provider_of(record)
    served = catalog.models[catalog.model_of(record)]
    probed = catalog.evidence.get(record.id.lower())
    evidence_page = site.path("evidence", record) if probed else None
    prices = [field for field in record.facts if field.startswith("price_")]
    limits = facts(record, hide=[*capabilities(), *prices])
    own_id = Code(record.id.partition("/")[2])
    serves = (site.link(served), " as ", site.link(provider), " serves it, under the id ", own_id)
    blocks: list[Block] = [
        (*serves, "."),
        Heading(2, "Limits"),
        Table(["Limit", "Value", "Source"], limits) if limits else ("No limit is known.",),
        Heading(2, "Prices"),
        *_prices(record),
        Heading(2, "Capabilities"),
    ]
    if probed is None:
        command = f"minikin probe --base-url URL --model {own_id.text}"
        blocks.append(("This offering is not probed yet. To probe it: ", Code(command)))
    elif evidence_page:
        blocks.append(
            ("Filled badges are probed. Each links to its ", Link("evidence", evidence_page), ".")
        )
    blocks += capability_blocks(site, record, evidence_page)
    if ranges := record.value("ranges"):
        rows = [[name, *(str(row.get(k, "")) for k in _RANGE)] for name, row in ranges.items()]
        blocks += [
            Heading(3, "Parameters"),
            Table(["Parameter", *map(str.capitalize, _RANGE)], rows),
        ]
    blocks += conflict_blocks(site, [record])
    trail = [Link("Providers", "providers/_index"), site.link(provider)]
    title = f"{record.name} at {provider.name}"
    return make(site, site.path("offering", record), title, "offering", blocks, trail)


_RANGE = ("min", "max", "default")


def _prices(record: Record) -> list[Block]:
    rows = facts(record, "price_")
    if not rows:
        billing = BILLING.get(record.value("billing") or "")
        return [(f"{billing.capitalize()}." if billing else "No price is known.",)]
    blocks: list[Block] = [Table(["Price", "Value", "Source"], rows)]
    for tier in record.value("price_tiers") or []:
        pair = " / ".join(numbers.dollars(tier.get(name)) for name in ("input", "output"))
        blocks.append((f"Prompts above {tier['above']:,} tokens: {pair} per million tokens.",))
    for hours in prices_of(record).get("hours") or []:
        pair = " / ".join(numbers.dollars(hours.get(name)) for name in ("input", "output"))
        days = "on weekdays" if hours.get("weekdays") else "every day"
        span = f"{hours['start']} to {hours['end']} UTC {days}"
        blocks.append((f"From {span}: {pair} per million tokens.",))
    return [*blocks, Table(["A typical call", "Cost"], _calls(record))]


def _calls(record: Record) -> list[list[Cell]]:
    quotes = [(title, cost(record, Job(*tokens))) for title, tokens in TYPICAL.items()]
    return [
        [title, numbers.amount(q.usd) if q.usd is not None else q.reason] for title, q in quotes
    ]


def evidence(site: SiteMap, record: Record) -> Page:
    """The requests to a live endpoint, and the results."""
    found = site.catalog.evidence[record.id.lower()]
    counts: dict[str, int] = {}
    for result in found.results:
        counts[result.outcome] = counts.get(result.outcome, 0) + 1
    blocks: list[Block] = [
        ("The probes of ", site.link(record, record.id), ", run by ", found.prober, "."),
        Table(
            ["", ""],
            [
                ["Endpoint", Code(found.endpoint)],
                ["Requested model", Code(found.model)],
                ["Fingerprint of the server", Code(found.fingerprint or "none")],
                *_speed(found),
                ["Results", ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))],
            ],
        ),
        (
            "For a README file, there is a drawing of each result, and of their number: ",
            Code(f"{site.path('evidence', record)}/verified.svg"),
            ".",
        ),
        (
            "Digests are SHA-256 of the bodies of all requests and responses of a probe. "
            "A result is valid until it expires. After that, its badge is stale.",
        ),
    ]
    for result in found.results:
        blocks += _result(site, result)
    trail = [Link("Evidence", "evidence/_index"), site.link(record, record.id)]
    title = f"Evidence for {record.id}"
    return make(site, site.path("evidence", record), title, "evidence", blocks, trail)


def _speed(found: Evidence) -> list[list[Cell]]:
    """Rows of the measured speed, if there is one."""
    if (speed := found.speed) is None:
        return []
    return [
        ["First token", f"after {speed.first_token_ms:,} ms (measured {speed.at})"],
        ["One answer", f"{speed.tokens_per_second:,} tokens per second"],
        ["Eight answers together", f"{speed.tokens_per_second_of_8:,} tokens per second"],
    ]


def _result(site: SiteMap, result: Result) -> list[Block]:
    stale = " (stale)" if is_stale(result, site.catalog.now) else ""
    return [
        Heading(3, result.capability),
        (f"{result.outcome}{stale}: {result.reason}",),
        [
            f"requests: {result.trials}, median latency {result.latency_ms} ms",
            f"probed {result.at}, valid until {result.expires}",
            ["digest of requests ", Code(result.requests)],
            ["digest of responses ", Code(result.responses)],
        ],
        *_history(result),
    ]


def _history(result: Result) -> list[Block]:
    """The earlier outcomes, if there are any."""
    rows: list[list[Cell]] = [[past.at, past.outcome, past.reason] for past in result.history]
    return [Table(["Earlier probe", "Outcome", "What was seen"], rows)] if rows else []
