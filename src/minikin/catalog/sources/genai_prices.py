"""genai-prices: the second source of prices and context windows, and the only one of batch prices.

The data comes from the `genai-prices` package (MIT). It adds facts only to known offerings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from minikin.catalog.facts.schema import table
from minikin.catalog.facts.snapshot import Entry, Snapshot, snapshot
from minikin.catalog.sources.index import kept

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider


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
    comments = (model.price_comments or "" for row in providers for model in row.models)
    days = (day for text in comments for day in re.findall(r"verified on (\d{4}-\d\d-\d\d)", text))
    return max(days)


def _entries(
    offerings: Iterable[str], providers: dict[str, Provider], moment: datetime
) -> Iterator[Entry]:
    names = table("sources.yaml")["genai-prices"]["providers"]
    for offering in offerings:
        provider, model = offering.split("/", 1)
        known = providers.get(names.get(provider, provider))
        if known and (info := known.find_model(model)):
            yield Entry("offering", offering, _fields(info, moment))


def _fields(info: ModelInfo, moment: datetime) -> dict[str, Any]:
    prices = info.get_prices(moment)
    fields: dict[str, Any] = {"context": info.context_window} if info.context_window else {}
    for name in ("input", "output", "cache_read", "cache_write"):
        price = _base(prices, name)
        if price is not None:
            fields[f"price_{name}"] = price
    batch = info.get_prices(moment, {"processing": "batch"})
    for name in ("input", "output"):
        price = _base(batch, name)
        if batch != prices and price is not None:
            fields[f"price_batch_{name}"] = price
    return fields


def _base(prices: ModelPrice, name: str) -> float | None:
    """The price of a prompt below every tier, in US dollars per million tokens."""
    price = getattr(prices, f"{name}_mtok")
    return None if price is None else round(float(getattr(price, "base", price)), 6)
