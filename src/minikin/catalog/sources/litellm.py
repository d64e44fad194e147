"""LiteLLM's `model_prices_and_context_window.json`, as a file from the user."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Any

from minikin.catalog.facts.schema import table
from minikin.catalog.facts.snapshot import Entry, Snapshot, snapshot
from minikin.catalog.sources.models_dev import model_key


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
        fields: dict[str, Any] = {"model": model_key(model)}
        # A missing flag is unknown. Other readers wrongly treat it as "no".
        fields |= {ours: row[theirs] for theirs, ours in names["flags"].items() if theirs in row}
        fields |= {ours: row[theirs] for theirs, ours in names["counts"].items() if row.get(theirs)}
        for theirs, ours in names["prices"].items():
            price = row.get(theirs)
            if price is not None:
                fields[ours] = _per_million(price)
        yield Entry("offering", f"{names['providers'].get(service, service)}/{model}", fields)


def _per_million(price: Any) -> Any:
    # An invalid price is kept, or replaced by an impossible one, to be rejected with a reason.
    if isinstance(price, bool) or not isinstance(price, int | float):
        return price
    return round(price * 1e6, 6) if abs(price) < 1 else inf
