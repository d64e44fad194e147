"""genai-prices: the second source of prices and context windows, and the only one of batch prices.

The data comes from the `genai-prices` package (MIT). It adds facts only to known offerings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from minikin.catalog.facts.prices import UNITS
from minikin.catalog.facts.schema import table
from minikin.catalog.facts.snapshot import Entry, Snapshot, snapshot
from minikin.catalog.sources.identity import key, spelling, undated
from minikin.catalog.sources.index import kept
from minikin.catalog.sources.values import billed

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

UNDATED = "2024-01-01"
"""The date of prices that the data does not date. Every dated source has priority."""


def take(offerings: Iterable[str]) -> Snapshot:
    """The snapshot of the installed package for these offering ids. It uses no network."""
    ids = list(offerings)
    return kept("genai-prices", version("genai-prices"), *ids, make=lambda: _take(ids))


def _take(offerings: list[str]) -> Snapshot:
    from genai_prices.data import providers

    by_id = {provider.id: provider for provider in providers}
    newest = _newest(by_id.values())
    moment = datetime.fromisoformat(newest).replace(hour=12, tzinfo=UTC)
    entries = _entries(offerings, by_id, moment)
    return snapshot("genai-prices", version("genai-prices"), newest, entries)


def _newest(providers: Iterable[Provider]) -> str:
    """The last day when a price was verified, according to the data."""
    return max(day for row in providers for model in row.models for day in _days(model, "verified"))


def _days(info: ModelInfo, verb: str) -> list[str]:
    return re.findall(rf"{verb} on (\d{{4}}-\d\d-\d\d)", info.price_comments or "")


def _entries(
    offerings: Iterable[str], providers: dict[str, Provider], moment: datetime
) -> Iterator[Entry]:
    names = table("sources.yaml")["genai-prices"]["providers"]
    for offering in offerings:
        provider, model = offering.split("/", 1)
        known = providers.get(names.get(provider, provider))
        info = known.find_model(model) if known else None
        # The package also matches by the start of a name, which can be an older model.
        if info and _is_same(info, offering):
            fields = billed(provider, model, _fields(info, moment))
            yield Entry("offering", offering, fields, _dated(info, moment))


def _is_same(info: ModelInfo, offering: str) -> bool:
    provider = offering.partition("/")[0]
    keys = {undated(key(spelling(f"{provider}/{name}"))) for name in _names(info)}
    return undated(key(spelling(offering))) in keys


def _names(info: ModelInfo) -> Iterator[str]:
    """The model's id, and every other id that the data gives in full."""
    yield info.id
    clauses: list[Any] = [info.match]
    while clauses:
        clause = clauses.pop()
        if isinstance(getattr(clause, "equals", None), str):
            yield clause.equals
        clauses += getattr(clause, "or_", None) or []


def _dated(info: ModelInfo, moment: datetime) -> str:
    """The last day that the data gives for this model's prices, or a day before all others."""
    newest = f"{moment:%Y-%m-%d}"
    days = [*_days(info, "verified"), *_days(info, "checked")]
    for price in info.prices if isinstance(info.prices, list) else ():
        start = getattr(price.constraint, "start_date", None)
        days += [f"{start:%Y-%m-%d}"] if start else []
    return max((day for day in days if day <= newest), default=UNDATED)


def _fields(info: ModelInfo, moment: datetime) -> dict[str, Any]:
    hours = _by_hour(info, moment)
    usual = max(hours.values(), key=lambda price: list(hours.values()).count(price))
    fields: dict[str, Any] = {"context": info.context_window} if info.context_window else {}
    fields |= {f"price_{name}": price for name, price in _flat(usual).items()}
    if tiers := _tiers(usual):
        fields["price_tiers"] = tiers
    special = [
        {"start": f"{hour:02}:00", "end": f"{(hour + 1) % 24:02}:00"} | _flat(price)
        for hour, price in hours.items()
        if price != usual
    ]
    if special:
        fields["price_hours"] = _joined(special)
    batch = info.get_prices(moment, {"processing": "batch"})
    if batch != info.get_prices(moment):
        kinds = ("input", "output", "cache_read")
        prices = _flat(batch)
        fields |= {f"price_batch_{name}": prices[name] for name in kinds if name in prices}
    return fields


def _by_hour(info: ModelInfo, moment: datetime) -> dict[int, ModelPrice]:
    """The prices in each hour of a day."""
    return {hour: info.get_prices(moment.replace(hour=hour, minute=30)) for hour in range(24)}


def _joined(hours: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Hours in a row with the same prices become one span."""
    spans: list[dict[str, Any]] = []
    for hour in hours:
        last = spans[-1] if spans else {}
        if last.get("end") == hour["start"] and last | {"end": 0} == hour | {
            "start": last["start"],
            "end": 0,
        }:
            last["end"] = hour["end"]
        else:
            spans.append(dict(hour))
    return spans


def _flat(prices: ModelPrice) -> dict[str, float]:
    """Prices of a prompt below every tier, in US dollars per million tokens, by our names."""
    found: dict[str, float] = {}
    for name, unit in UNITS.items():
        price = getattr(prices, unit)
        if price is not None:
            found[name] = round(float(getattr(price, "base", price)), 6)
    return found


def _tiers(prices: ModelPrice) -> list[dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for name in ("input", "output", "cache_read", "cache_write"):
        for tier in getattr(getattr(prices, UNITS[name]), "tiers", ()):
            row = found.setdefault(tier.start, {"above": tier.start})
            row[name] = round(float(tier.price), 6)
    return [found[start] for start in sorted(found)]
