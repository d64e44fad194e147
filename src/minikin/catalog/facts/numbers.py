"""The format of numbers: 1.0M, 128k, $0.40, and a dash for an unknown value."""

from __future__ import annotations

from minikin.catalog.facts.fact import Record
from minikin.catalog.facts.prices import BILLING, prices_of

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
    if float(exact) == 0:
        return f"${price:.2g}"  # a tiny price is not free
    return "$" + (f"{price:.2f}" if len(exact.split(".")[1]) < 2 else exact)


def amount(usd: float | None) -> str:
    """The cost of a call: $0.009280. `free` only for a known zero."""
    return dollars(usd) if not usd or usd < 5e-7 else f"${usd:.6f}"


def price_pair(offering: Record) -> str:
    """Prices of a million input and output tokens: `$0.40 / $1.60`, `free`, or a dash.

    An offering that is not paid by the token says how it is paid.
    """
    prices = prices_of(offering)
    pair = [prices.get("input"), prices.get("output")]
    if pair == [None, None]:
        return BILLING.get(offering.value("billing") or "", UNKNOWN)
    return "free" if pair == [0, 0] else " / ".join(map(dollars, pair))
