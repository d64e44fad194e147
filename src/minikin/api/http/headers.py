"""The headers of every answer."""

from __future__ import annotations

from minikin.api.answer.identifiers import request_id

COMMON = {
    "openai-version": "2020-10-01",
    "openai-organization": "minikin",
    "x-content-type-options": "nosniff",
    "access-control-expose-headers": "X-Request-ID",
}


def common_headers(identifier: str | None = None) -> dict[str, str]:
    """The headers for a request with this id, or with a new id."""
    return {"x-request-id": identifier or request_id(), **COMMON}
