"""Models in the format of OpenRouter's /api/v1/models, for clients of its list."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from minikin.catalog.facts.fact import Record
from minikin.catalog.facts.schema import table
from minikin.catalog.sources.catalog import Catalog


class Served(NamedTuple):
    """A model of this server: its names, its id first, and its context in tokens if known."""

    names: tuple[str, ...]
    context: Callable[[], int | None]


def entries(catalog: Catalog, models: Iterable[Served]) -> list[dict[str, Any]]:
    """An entry of OpenRouter's list for each name of each model."""
    return [_entry(catalog, model, name) for model in models for name in model.names]


def _entry(catalog: Catalog, served: Served, name: str) -> dict[str, Any]:
    """An entry of OpenRouter's list. Prices are text, in US dollars per token.

    Only the catalog's records of this server describe its models. Other models of the same name
    are somebody else's. An unknown value is null or missing.
    """
    own = served.names[0]
    known = catalog.offerings.get(f"minikin/{own}".lower())
    offering = known or Record("offering", own, {})
    model = catalog.models[catalog.model_of(known)] if known else Record("model", own, {})
    context = served.context() or offering.value("context")
    sides = [model.value(f"{side}_modalities") or ["text"] for side in ("input", "output")]
    prices = {"prompt": "price_input", "completion": "price_output"}
    released = model.value("release_date")
    return {
        "id": name,
        "name": model.name,
        "created": released and _unix_seconds(released),
        "description": model.value("description") or "",
        "context_length": context,
        "architecture": {
            "modality": "->".join("+".join(side) for side in sides),
            "input_modalities": sides[0],
            "output_modalities": sides[1],
            "tokenizer": model.value("tokenizer"),
            "instruct_type": None,
        },
        "pricing": {
            theirs: f"{price / 1e6:g}"
            for theirs, ours in prices.items()
            if (price := offering.value(ours)) is not None
        },
        "top_provider": {
            "context_length": context,
            "max_completion_tokens": offering.value("max_output"),
            "is_moderated": False,
        },
        "per_request_limits": None,
        "supported_parameters": _parameters(catalog, known),
    }


def _parameters(catalog: Catalog, known: Record | None) -> list[str]:
    """The parameters that work. The server enforces them, so they are those of any of its models.

    They come from the records of the model, or of another model of this server.
    """
    own = (row for key, row in catalog.offerings.items() if key.startswith("minikin/"))
    offering = known or next(own, None)
    return [
        theirs
        for ours, theirs in table("sources.yaml")["openrouter"].items()
        if offering and catalog.badge(offering, ours)[0] in ("verified", "declared")
    ]


def _unix_seconds(day: str) -> int:
    return int(datetime.fromisoformat(f"{day}-01"[:10]).replace(tzinfo=UTC).timestamp())
