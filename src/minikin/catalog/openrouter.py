"""Models in the format of OpenRouter's /api/v1/models, for clients of its list."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from minikin.catalog.facts.fact import Record
from minikin.catalog.facts.schema import table
from minikin.catalog.sources.catalog import Catalog


def entry(catalog: Catalog, own: str, name: str) -> dict[str, Any]:
    """An entry of OpenRouter's list for a name of the model with the id `own`.

    Prices are text, in US dollars per token. An unknown value is null or missing.
    """
    offering = catalog.offerings.get(f"minikin/{own}".lower(), Record("offering", own, {}))
    model = catalog.models.get(catalog.model_of(offering), Record("model", own, {}))
    sides = [model.value(f"{side}_modalities") or ["text"] for side in ("input", "output")]
    prices = {"prompt": "price_input", "completion": "price_output"}
    released = model.value("release_date")
    return {
        "id": name,
        "name": model.name,
        "created": released and _unix_seconds(released),
        "description": model.value("description") or "",
        "context_length": offering.value("context"),
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
            "context_length": offering.value("context"),
            "max_completion_tokens": offering.value("max_output"),
            "is_moderated": False,
        },
        "per_request_limits": None,
        "supported_parameters": [
            theirs
            for ours, theirs in table("sources.yaml")["openrouter"].items()
            if catalog.badge(offering, ours)[0] in ("verified", "declared")
        ],
    }


def _unix_seconds(day: str) -> int:
    return int(datetime.fromisoformat(f"{day}-01"[:10]).replace(tzinfo=UTC).timestamp())
