"""model-prices: the authors' own prices, checked against their price pages each day (MIT).

It has prices by the hour, batch prices, and the state of each model at its author.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minikin.catalog.facts.snapshot import Entry, Snapshot, snapshot
from minikin.catalog.sources.identity import spelling
from minikin.catalog.sources.values import as_map, billed, rounded
from minikin.errors import SetupError

_KINDS = ("input", "output", "cache_read", "cache_write")


def from_data(data: dict[str, Any], version: str) -> Snapshot:
    """The snapshot of the package's data. Raises SetupError for another schema."""
    if data.get("schema") != 1 or not isinstance(data.get("updated_at"), str):
        raise SetupError(f"model-prices {version} has another schema than 1.")
    moment = data["updated_at"]
    entries = _entries(data, moment)
    return snapshot("model-prices", version, moment[:10], entries)


def _entries(data: dict[str, Any], moment: str) -> Iterator[Entry]:
    states = as_map(data.get("status"))
    schedules = as_map(data.get("schedules")).get("schedule") or []
    for provider, models in as_map(data.get("prices")).items():
        status = as_map(states.get(provider))
        current = [row for row in schedules if row["provider"] == provider and _is_on(row, moment)]
        for model, modes in as_map(models).items():
            fields = _fields(as_map(modes), moment, current, model)
            if state := status.get(model):
                fields["status"] = state
            if since := _since(modes):
                fields["release_date"] = since
            fields["model"] = spelling(f"{provider}/{model}")
            yield Entry("offering", f"{provider}/{model}", billed(provider, model, fields))


def _is_on(row: dict[str, Any], moment: str) -> bool:
    return row["valid_from"] <= moment < row.get("valid_until", "9")


def _fields(
    modes: dict[str, Any], moment: str, schedules: list[dict[str, Any]], model: str
) -> dict[str, Any]:
    rates = _now(modes.get("standard"), moment)
    prices = {name: rounded(rates[name]) for name in _KINDS if name in rates}
    fields: dict[str, Any] = {f"price_{name}": price for name, price in prices.items()}
    if tiers := rates.get("tiers"):
        fields["price_tiers"] = [
            {name: tier[name] for name in ("above", *_KINDS) if name in tier} for tier in tiers
        ]
    batch = _now(modes.get("batch"), moment)
    fields |= {f"price_batch_{k}": rounded(batch[k]) for k in _KINDS[:3] if k in batch}
    if "output" in (thinking := _now(modes.get("thinking"), moment)):
        fields["price_reasoning"] = rounded(thinking["output"])
    hours = [span for row in schedules for span in _hours(row, model, prices)]
    return fields | ({"price_hours": hours} if hours else {})


def _since(modes: Any) -> str | None:
    """The day of the first known price, which is when the author began to offer the model."""
    timeline = as_map(modes).get("standard") or [{}]
    first = as_map(timeline[0].get("rates")).get("valid_from")
    return first[:10] if isinstance(first, str) else None


def _now(timeline: Any, moment: str) -> dict[str, Any]:
    """The rates that count at a moment. Empty if there are none."""
    found: dict[str, Any] = {}
    for row in timeline if isinstance(timeline, list) else ():
        if not row["start"] or row["start"] <= moment:
            found = row["rates"] or {}
    return found


def _hours(row: dict[str, Any], model: str, prices: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The spans of a schedule with their prices: peak hours, or a discount for some models."""
    for kind in ("peak", "off_peak"):
        by = row.get(f"{kind}_multiplier")
        by = by.get(model) if isinstance(by, dict) else by
        if by is None:
            continue
        scaled = {name: rounded(float(price * by)) for name, price in prices.items()}
        for start, end in row.get(f"{kind}_hours_utc") or ():
            weekdays = bool(row.get("weekdays_only"))
            yield {"start": start, "end": end, "weekdays": weekdays} | scaled
