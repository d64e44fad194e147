"""Every check by its capability, in the order of the pages."""

from __future__ import annotations

from minikin.catalog.facts.schema import capabilities
from minikin.catalog.probes import (
    checks_batch,
    checks_format,
    checks_input,
    checks_media,
    checks_reasoning,
    checks_samplers,
    checks_sampling,
    checks_server,
    checks_text,
)
from minikin.catalog.probes.probe import Check

_MODULES = (
    checks_text,
    checks_input,
    checks_media,
    checks_format,
    checks_sampling,
    checks_samplers,
    checks_reasoning,
    checks_server,
    checks_batch,
)
CHECKS: dict[str, Check] = {
    name: vars(module)[name]
    for name in capabilities()
    for module in _MODULES
    if getattr(vars(module).get(name), "__module__", "") == module.__name__
}
"""A check is the function with the name of the capability."""
