"""How the sources write values: numbers as text, texts with spaces, zero for "unknown"."""

from __future__ import annotations

from typing import Any

from minikin.catalog.facts.schema import table

_BILLING = table("sources.yaml")["billing"]


def rounded(price: Any) -> Any:
    """A price as a number without rounding errors: 0.39999999999999997 becomes 0.4, "2" is 2.0."""
    if isinstance(price, str):
        price = _number(price)
    return float(f"{price:.9g}") if isinstance(price, float) else price


def whole(count: Any) -> Any:
    """A count as an integer: 128000.0 and "128000" become 128000. 0 means unknown."""
    if isinstance(count, str):
        count = _number(count)
    if isinstance(count, float) and count.is_integer():
        count = int(count)
    return count or None


def _number(text: str) -> Any:
    """The number that a short text spells, else the text."""
    try:
        return float(text) if len(text) <= 40 else text
    except ValueError:
        return text


def trimmed(text: Any) -> Any:
    """A text without outer spaces, which a few names have."""
    return text.strip() if isinstance(text, str) else text


def as_map(value: Any) -> dict[Any, Any]:
    """The value if it is a map, else an empty map."""
    return value if isinstance(value, dict) else {}


def stated(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that the source states."""
    return {name: value for name, value in fields.items() if value is not None}


def billed(provider: str, model: str, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with a price of zero only where calls are free.

    Sources also write zero for what a plan includes, for a trial, for a model on one's own
    machine, and for what is priced by the image or the second. These get `billing` instead.
    """
    zeros = [name for name, value in fields.items() if name.startswith("price_") and value == 0]
    if "price_input" not in zeros or fields.get("price_output"):
        return fields
    kind = _kind(provider, model, fields)
    if kind == "free":
        return fields
    unpriced = {name: value for name, value in fields.items() if name not in zeros}
    return unpriced | ({"billing": kind} if kind else {})


def _kind(provider: str, model: str, fields: dict[str, Any]) -> str | None:
    """What a price of zero means. None if it is unknown."""
    other = any(fields.get(f"output_{kind}") for kind in ("image", "audio", "video"))
    if fields.get("price_image") or other or fields.get("output_text") is False:
        return "other units"
    if model.endswith((":free", "-free", "/free")) or model in _BILLING["free"].get(provider, ()):
        return "free"
    if provider.endswith(tuple(_BILLING["plan_suffixes"])):
        return "plan"
    return next((kind for kind in ("plan", "trial", "local") if provider in _BILLING[kind]), None)
