"""LiteLLM's `model_prices_and_context_window.json`, as a file that the user supplies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minikin.catalog.snapshot import Entry, Snapshot, snapshot
from minikin.catalog.source_models_dev import model_key

# LiteLLM's names of services that we know by models.dev's.
_PROVIDERS = {
    "bedrock": "amazon-bedrock",
    "bedrock_converse": "amazon-bedrock",
    "fireworks_ai": "fireworks-ai",
    "gemini": "google",
    "together_ai": "togetherai",
    "vertex_ai-language-models": "google-vertex",
}
_COUNTS = {"max_input_tokens": "context", "max_output_tokens": "max_output"}
_PRICES = {
    "input_cost_per_token": "price_input",
    "output_cost_per_token": "price_output",
    "cache_read_input_token_cost": "price_cache_read",
    "cache_creation_input_token_cost": "price_cache_write",
    "input_cost_per_token_batches": "price_batch_input",
    "output_cost_per_token_batches": "price_batch_output",
}
# A flag that the file leaves out is unknown: readers who took it for "no" were wrong.
_FLAGS = {
    "supports_function_calling": "tools",
    "supports_tool_choice": "tool_choice",
    "supports_response_schema": "structured_outputs",
    "supports_parallel_function_calling": "parallel_tool_calls",
    "supports_vision": "input_image",
    "supports_pdf_input": "input_pdf",
    "supports_audio_input": "input_audio",
    "supports_audio_output": "output_audio",
    "supports_reasoning": "reasoning",
    "supports_web_search": "web_search",
}


def from_data(data: dict[str, Any], version: str, saved: str) -> Snapshot:
    """The snapshot of the file's content, as of the day when the file was saved."""
    return snapshot("litellm", version, saved, _entries(data))


def _entries(data: dict[str, Any]) -> Iterator[Entry]:
    for key, row in data.items():
        service = row.get("litellm_provider") if isinstance(row, dict) else None
        if not isinstance(service, str) or key == "sample_spec":
            continue
        model = key.removeprefix(f"{service}/")
        fields: dict[str, Any] = {"model": model_key(model)}
        fields |= {ours: row[theirs] for theirs, ours in _FLAGS.items() if theirs in row}
        fields |= {ours: row[theirs] for theirs, ours in _COUNTS.items() if row.get(theirs)}
        for theirs, ours in _PRICES.items():
            price = row.get(theirs)
            if price is not None:
                fields[ours] = _per_million(price)
        yield Entry("offering", f"{_PROVIDERS.get(service, service)}/{model}", fields)


def _per_million(price: Any) -> Any:
    # What is no number goes on as it is, to be refused with a reason.
    return round(price * 1e6, 6) if isinstance(price, int | float) else price
