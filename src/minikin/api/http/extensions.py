"""The header by which one request accepts parameters that OpenAI does not have."""

from __future__ import annotations

from msgspec.structs import replace
from starlette.datastructures import Headers
from starlette.types import Scope

from minikin.api.request.translate import Limits
from minikin.errors import InvalidRequest

HEADER = "x-minikin-extensions"
"""`true` does for one request what `--extensions` does for all."""


def limits_of(scope: Scope, limits: Limits) -> Limits:
    """The limits for a request, from those of its server. Raises InvalidRequest."""
    given = Headers(scope=scope).get(HEADER, "false")
    if given not in ("true", "false"):
        raise InvalidRequest(f"Invalid header '{HEADER}': expected 'true' or 'false'.")
    return replace(limits, extensions=True) if given == "true" else limits
