"""The format of numbers: 1.0M, 128k, $0.40, and a dash for an unknown value."""

from __future__ import annotations

from minikin.catalog.facts.fact import Record

UNKNOWN = "—"


def tokens(count: int | None) -> str:
    """1047576 is 1.0M, 128000 is 128k, 8192 is 8.2k."""
    if not count:
        return UNKNOWN
    if count >= 999_500:
        return f"{count / 1e6:.1f}M"
    if count < 1000:
        return str(count)
    short = f"{count / 1000:.0f}" if count >= 99_950 else f"{count / 1000:.1f}".removesuffix(".0")
    return f"{short}k"


def dollars(price: float | None) -> str:
    """$0.40, $0.075, $12.00. `free` only for a known zero."""
    if price is None:
        return UNKNOWN
    if price == 0:
        return "free"
    exact = f"{price:.6f}".rstrip("0")
    return "$" + (f"{price:.2f}" if len(exact.split(".")[1]) < 2 else exact)


def amount(usd: float | None) -> str:
    """The cost of a call: $0.009280. `free` only for a known zero."""
    return dollars(usd) if not usd else f"${usd:.6f}"


def price_pair(offering: Record) -> str:
    """Prices of a million input and output tokens: `$0.40 / $1.60`, `free`, or a dash."""
    pair = [offering.value("price_input"), offering.value("price_output")]
    if pair == [None, None]:
        return UNKNOWN
    return "free" if pair == [0, 0] else " / ".join(map(dollars, pair))


def cost(
    offering: Record, prompt: int, completion: int, cached: int = 0, batch: bool = False
) -> float | None:
    """US dollars for one call. `None` if a necessary price is unknown.

    `cached` tokens of the prompt cost the cache read price, if there is one. A tier applies to the
    whole call if the prompt exceeds it.
    """
    kind = "price_batch_" if batch else "price_"
    prices = {
        "input": offering.value(f"{kind}input"),
        "output": offering.value(f"{kind}output"),
        "cache_read": offering.value("price_cache_read"),
    }
    for tier in sorted(offering.value("price_tiers") or [], key=lambda tier: tier["above"]):
        if prompt > tier["above"] and not batch:
            prices |= {name: tier[name] for name in prices if name in tier}
    if prices["cache_read"] is None or batch:
        prices["cache_read"] = prices["input"]
    parts = {"input": prompt - cached, "cache_read": cached, "output": completion}
    used = [(prices[name], count) for name, count in parts.items() if count]
    if any(price is None for price, _ in used):
        return None
    return sum(price * count for price, count in used if price) / 1e6
