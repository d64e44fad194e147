"""What a call costs at an offering. The arithmetic is that of `genai_prices`.

Prices that belong together come from one source: a price list is never mixed from two.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from minikin.catalog.facts.fact import Fact, Origin, Record

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice, TieredPrices

BILLING = {
    "plan": "included in a plan",
    "trial": "limited trial",
    "local": "own machine",
    "other units": "priced in other units",
}
"""How an offering is paid for if not by the token."""
UNITS = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "reasoning": "output_reasoning_mtok",
    "input_audio": "input_audio_mtok",
    "output_audio": "output_audio_mtok",
}
"""Our names of prices, without `price_`, and the names of genai_prices."""
_SEPARATE = ("price_batch_", "price_reasoning", "price_input_audio", "price_output_audio")
"""Prices that another source may add if it agrees on the input price."""


class Job(NamedTuple):
    """The tokens of a call. `input` includes `cached`, `written` and `input_audio` tokens.

    `output` includes `reasoning` and `output_audio` tokens. `at` is the time of the call, which
    matters where prices depend on the hour. Without it, the price outside peak hours counts.
    """

    input: int
    output: int
    cached: int = 0
    written: int = 0
    reasoning: int = 0
    input_audio: int = 0
    output_audio: int = 0
    batch: bool = False
    at: datetime | None = None


class Quote(NamedTuple):
    """A cost in US dollars, or the reason why there is none."""

    usd: float | None
    reason: str = ""


def prices_of(offering: Record) -> dict[str, Any]:
    """The price fields of the trusted source, without `price_` before their names.

    Other sources add batch, reasoning and audio prices if they agree on the input price.
    """
    base = next(iter(offering.facts.get("price_input", ())), None)
    found: dict[str, Any] = {}
    for field, facts in offering.facts.items():
        if field.startswith("price_"):
            fact = next((f for f in facts if _belongs(offering, field, f, base)), None)
            if fact is not None:
                found[field.removeprefix("price_")] = fact.value
    return found


def _belongs(offering: Record, field: str, fact: Fact, base: Fact | None) -> bool:
    if base is None or fact.origin == Origin.LOCAL or fact.source == base.source:
        return True
    agreed = (f.source for f in offering.facts["price_input"] if f.value == base.value)
    return field.startswith(_SEPARATE) and fact.source in agreed


def cost(offering: Record, job: Job) -> Quote:
    """The cost of one call. It has none where a price is unknown or the call does not fit."""
    if reason := _misfit(offering, job):
        return Quote(None, reason)
    prices = prices_of(offering)
    if hours := _hours_at(prices.get("hours") or [], job.at):
        prices |= {name: hours[name] for name in UNITS if name in hours}
    if job.batch:
        prices = {name: prices.get(f"batch_{name}") for name in UNITS}
    needed = [name for name in ("input", "output") if getattr(job, name)]
    missing = [name for name in needed if prices.get(name) is None]
    if missing:
        billing = BILLING.get(offering.value("billing") or "")
        return Quote(
            None, billing or f"no known {'batch ' * job.batch}price of {missing[0]} tokens"
        )
    for name in ("input_audio", "output_audio"):
        if getattr(job, name) and prices.get(name) is None:
            return Quote(None, "no known price of audio tokens")
    return Quote(float(_calculate(prices, job)))


def _misfit(offering: Record, job: Job) -> str | None:
    """The reason why a call does not fit into the limits of an offering."""
    limits = {"context": job.input + job.output, "max_input": job.input, "max_output": job.output}
    for name, wanted in limits.items():
        limit = offering.value(name)
        if limit and wanted > limit:
            return f"does not fit: {wanted:,} tokens, {name.replace('_', ' ')} {limit:,}"
    return None


def _hours_at(hours: list[dict[str, Any]], at: datetime | None) -> dict[str, Any] | None:
    """The prices of the hours that contain `at`, if there are any."""
    if at is None:
        return None
    at = at.astimezone(UTC)
    clock = f"{at:%H:%M}"
    for row in hours:
        start, end = row["start"], row["end"]
        inside = start <= clock < end if start < end else clock >= start or clock < end
        if inside and not (row.get("weekdays") and at.weekday() > 4):
            return row
    return None


def _calculate(prices: dict[str, Any], job: Job) -> Decimal:
    from genai_prices.types import Usage

    usage = {
        "input_tokens": job.input,
        "output_tokens": job.output,
        "cache_read_tokens": job.cached,
        "cache_write_tokens": job.written,
        "output_reasoning_tokens": job.reasoning,
        "input_audio_tokens": job.input_audio,
        "output_audio_tokens": job.output_audio,
    }
    counts = {name: count for name, count in usage.items() if count or "_" not in name[:-7]}
    return _model_price(prices, job).calc_price(Usage(**counts))["total_price"]


def _model_price(prices: dict[str, Any], job: Job) -> ModelPrice:
    from genai_prices.types import ModelPrice

    tiers = [] if job.batch else sorted(prices.get("tiers") or [], key=lambda row: row["above"])
    used = {
        "input": job.input, "output": job.output, "cache_read": job.cached,
        "cache_write": job.written, "reasoning": job.reasoning,
        "input_audio": job.input_audio, "output_audio": job.output_audio,
    }  # fmt: skip
    # Tokens of a kind without a price cost what other tokens of their side cost.
    return ModelPrice(
        **{
            UNITS[name]: _tiered(name, prices[name], tiers)
            for name, count in used.items()
            if count and prices.get(name) is not None
        }
    )


def _tiered(name: str, base: float, tiers: list[dict[str, Any]]) -> Decimal | TieredPrices:
    from genai_prices.types import Tier, TieredPrices

    steps = [Tier(row["above"], Decimal(str(row[name]))) for row in tiers if name in row]
    exact = Decimal(str(base))
    return TieredPrices(exact, steps) if steps else exact
