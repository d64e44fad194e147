"""Every check by its capability, in the order of the pages."""

from __future__ import annotations

from minikin.catalog.facts.schema import capabilities
from minikin.catalog.probes import (
    checks_format,
    checks_input,
    checks_sampling,
    checks_server,
    checks_text,
)
from minikin.catalog.probes.probe import Check

CHECKS: dict[str, Check] = {
    name: vars(module)[name]
    for name in capabilities()
    for module in (checks_text, checks_input, checks_format, checks_sampling, checks_server)
    if name in vars(module)
}
"""A check is the function with the name of the capability."""
