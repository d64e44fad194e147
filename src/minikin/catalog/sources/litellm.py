"""LiteLLM's `model_prices_and_context_window.json`, as a file from the user."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import inf
from typing import Any

from minikin.catalog.facts.schema import table
from minikin.catalog.facts.snapshot import Entry, Snapshot, snapshot
from minikin.catalog.sources.identity import spelling
from minikin.catalog.sources.values import billed, rounded, whole

_TIER = re.compile(r"(.+)_above_(\d+)k_tokens")


def from_data(data: dict[str, Any], version: str, saved: str) -> Snapshot:
    """The snapshot of the file's content, with the day when the file was saved."""
    return snapshot("litellm", version, saved, _entries(data))


def _entries(data: dict[str, Any]) -> Iterator[Entry]:
    names = table("sources.yaml")["litellm"]
    for key, row in data.items():
        service = row.get("litellm_provider") if isinstance(row, dict) else None
        if not isinstance(service, str) or key == "sample_spec":
            continue
        model = key.removeprefix(f"{service}/")
        provider = names["providers"].get(service, service)
        fields: dict[str, Any] = {"model": spelling(f"{provider}/{model}")}
        # A missing flag is unknown. Other readers wrongly treat it as "no".
        fields |= {ours: row[theirs] for theirs, ours in names["flags"].items() if theirs in row}
        counts = {ours: whole(row.get(theirs)) for theirs, ours in names["counts"].items()}
        fields |= {ours: count for ours, count in counts.items() if count}
        fields |= _prices(names, row)
        if date := row.get("deprecation_date"):
            fields["retirement_date"] = date
        yield Entry("offering", f"{provider}/{model}", billed(provider, model, fields))


def _prices(names: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """The prices of a row, by our names. Keys such as `..._above_200k_tokens` become tiers."""
    found: dict[str, Any] = {}
    tiers: dict[int, dict[str, Any]] = {}
    for theirs, price in row.items():
        base, size = match.groups() if (match := _TIER.fullmatch(theirs)) else (theirs, None)
        ours = names["prices"].get(base)
        if ours is None or price is None:
            continue
        if size is None:
            found[ours] = _per_million(price)
        elif len(size) < 9:
            above = 1000 * int(size)
            tiers.setdefault(above, {"above": above})[ours.removeprefix("price_")] = _per_million(
                price
            )
    for theirs, ours in names["single"].items():
        if row.get(theirs):
            found[ours] = rounded(row[theirs])
    return found | ({"price_tiers": [tiers[key] for key in sorted(tiers)]} if tiers else {})


def _per_million(price: Any) -> Any:
    # An invalid price is kept, or replaced by an impossible one, to be rejected with a reason.
    price = rounded(price)
    if isinstance(price, bool) or not isinstance(price, int | float):
        return price
    return rounded(price * 1e6) if abs(price) < 1 else inf
