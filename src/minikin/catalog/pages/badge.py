"""Badges: a capability and its evidence. They are drawn here, or by shields.io as an option.

A declared badge is hollow. A probed badge is filled and has a third part: verified, failed or
stale. A declared badge that no probe can observe says so.
"""

from __future__ import annotations

from html import escape
from typing import NamedTuple
from urllib.parse import quote

from minikin.catalog.facts.evidence import BadgeState, Evidence
from minikin.catalog.facts.schema import Capability, Colour

_COLOURS: dict[Colour, str] = {
    "blue": "#0067b8",
    "teal": "#00796b",
    "cyan": "#00838f",
    "yellow": "#8a6d00",
    "red": "#b3261e",
    "purple": "#6a3fb5",
}
UNOBSERVABLE = "not observable"
_SEALS: dict[BadgeState, tuple[str, str]] = {
    "verified": ("✓ verified", "#1b7f37"),
    "failed": ("✗ failed", "#c62828"),
    "stale": ("stale", "#b26a00"),
}
_SHIELDS: dict[BadgeState, str] = {
    "verified": "brightgreen",
    "failed": "critical",
    "stale": "orange",
}


class Badge(NamedTuple):
    """`page` is the link to its evidence as `path#anchor`, if there is any."""

    capability: Capability
    state: BadgeState
    page: str | None

    @property
    def file(self) -> str:
        """The name of the drawing. Badges that look the same share it."""
        return f"{self.capability.id}-{self.state}.svg"

    @property
    def alt(self) -> str:
        """The text for a screen reader."""
        seen = f", {UNOBSERVABLE}: {why}" if (why := self.capability.unobservable) else ""
        return f"{self.capability.label}: {self.capability.meaning} ({self.state}{seen})"

    @property
    def shields_url(self) -> str:
        """The same badge at shields.io."""
        seal = f" {_SEALS[self.state][0]}" if self.state in _SEALS else ""
        if self.capability.unobservable:
            seal = f" {UNOBSERVABLE}"
        colour = _SHIELDS.get(self.state, self.capability.colour)
        label, value = self.capability.label, self.capability.value + seal
        parts = (part.replace("-", "--").replace("_", "__") for part in (label, value))
        path = "-".join(quote(part.replace(" ", "_")) for part in parts)
        return f"https://img.shields.io/badge/{path}-{colour}"

    def svg(self) -> str:
        """The drawing, 20 pixels high, readable on light and dark backgrounds."""
        hollow = self.state == "declared"
        # A colour is a claim, so a failed or stale badge has none.
        claimed = hollow or self.state == "verified"
        colour = _COLOURS[self.capability.colour] if claimed else "#6e7781"
        parts = [
            (self.capability.label, "#444c56", "#fff"),
            (self.capability.value, "#fff" if hollow else colour, colour if hollow else "#fff"),
        ]
        if self.state in _SEALS:
            parts.append((*_SEALS[self.state], "#fff"))
        if self.capability.unobservable:
            parts.append((UNOBSERVABLE, "#6e7781", "#fff"))
        return _draw(parts, self.alt, colour if hollow else None)


def score(evidence: Evidence, verified: int) -> str:
    """The drawing that counts what probes verified, with the day of the last probe."""
    day = max((result.at[:10] for result in evidence.results), default="never")
    text = f"{verified} of {len(evidence.counted)} verified"
    parts = [("probed", "#444c56", "#fff"), (text, "#1b7f37" if verified else "#6e7781", "#fff")]
    title = f"{evidence.offering}: {text}, probed {day}"
    return _draw([*parts, (day, "#444c56", "#fff")], title, None)


def _draw(parts: list[tuple[str, str, str]], title: str, border: str | None) -> str:
    x = 0.0
    drawn: list[str] = []
    for text, fill, ink in parts:
        length = sum(map(_width, text))
        drawn.append(
            f'<rect x="{x:g}" width="{length + 12:g}" height="20" fill="{fill}"/>'
            f'<text x="{x + 6:g}" y="14" textLength="{length:g}" fill="{ink}">{escape(text)}</text>'
        )
        x += length + 12
    frame = (
        f'<rect x=".5" y=".5" width="{x - 1:g}" height="19" rx="3" fill="none" stroke="{border}"/>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{x:g}" height="20" role="img" '
        f'aria-label="{escape(title)}"><title>{escape(title)}</title>'
        f'<clipPath id="r"><rect width="{x:g}" height="20" rx="3"/></clipPath>'
        '<g clip-path="url(#r)" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f"{''.join(drawn)}</g>{frame if border else ''}</svg>\n"
    )


def _width(char: str) -> float:
    """Approximate width of a character in 11 pixel Verdana. `textLength` corrects the rest."""
    if char in "iljtf.,:|'()[] ":
        return 4.2
    return 9.5 if char in "mwMW✓✗" else 6.7
