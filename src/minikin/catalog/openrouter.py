"""Models and their endpoints in the format of OpenRouter, for clients of its lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from minikin.catalog.facts.fact import Record
from minikin.catalog.facts.schema import table
from minikin.catalog.sources.catalog import Catalog
from minikin.errors import NotFound


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
    return _described(model, name) | {
        "context_length": context,
        "pricing": _pricing(offering),
        "top_provider": {
            "context_length": context,
            "max_completion_tokens": offering.value("max_output"),
            "is_moderated": False,
        },
        "per_request_limits": None,
        "supported_parameters": _parameters(catalog, known),
    }


def endpoints(catalog: Catalog, models: Iterable[Served], id: str) -> dict[str, Any]:
    """The answer of OpenRouter's list of a model's endpoints.

    `id` is a name of this server's models, or `author/model` for all offerings in the catalog.
    Raises NotFound.
    """
    served = next((model for model in models if id in model.names), None)
    if served:
        entry = _entry(catalog, served, id)
        offering = catalog.offerings.get(f"minikin/{served.names[0]}".lower())
        own = offering or Record("offering", f"minikin/{served.names[0]}", {})
        parameters = entry["supported_parameters"]
        endpoint = _endpoint(catalog, own) | {"supported_parameters": parameters}
        limits = {"context_length": entry["context_length"]}
        kept = ("id", "name", "created", "description", "architecture")
        return {name: entry[name] for name in kept} | {"endpoints": [endpoint | limits]}
    author, _, slug = id.partition("/")
    model = catalog.model(slug)
    if author.lower() not in {row.id.lower() for row in catalog.authors_of(model)}:
        raise NotFound(f"The catalog has no model {slug[:200]!r} of the author {author[:200]!r}.")
    offered = [row for row in catalog.offerings_of(model) if row.value("status") != "removed"]
    return _described(model, f"{author}/{model.id}") | {
        "endpoints": [_endpoint(catalog, row) for row in offered]
    }


def _endpoint(catalog: Catalog, offering: Record) -> dict[str, Any]:
    """An endpoint. Its uptime is not measured: null."""
    known = catalog.providers.get(offering.id.split("/")[0].lower())
    provider = known.name if known else offering.id.split("/")[0]
    return {
        "name": f"{provider} | {offering.id}",
        "model_name": offering.name,
        "context_length": offering.value("context"),
        "pricing": _pricing(offering),
        "provider_name": provider,
        "tag": offering.id.split("/")[0],
        "quantization": None,
        "max_completion_tokens": offering.value("max_output"),
        "max_prompt_tokens": offering.value("max_input"),
        "supported_parameters": _parameters(catalog, offering),
        "status": 0,
        "uptime_last_30m": None,
    }


def _described(model: Record, name: str) -> dict[str, Any]:
    sides = [model.value(f"{side}_modalities") or ["text"] for side in ("input", "output")]
    released = model.value("release_date")
    return {
        "id": name,
        "name": model.name,
        "created": released and _unix_seconds(released),
        "description": model.value("description") or "",
        "architecture": {
            "modality": "->".join("+".join(side) for side in sides),
            "input_modalities": sides[0],
            "output_modalities": sides[1],
            "tokenizer": model.value("tokenizer"),
            "instruct_type": None,
        },
    }


def _pricing(offering: Record) -> dict[str, str]:
    prices = {"prompt": "price_input", "completion": "price_output"}
    return {
        theirs: f"{price / 1e6:g}"
        for theirs, ours in prices.items()
        if (price := offering.value(ours)) is not None
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
