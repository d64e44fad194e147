"""Headers that every answer has, whoever writes it."""

from __future__ import annotations

from minikin.api.answer.identifiers import request_id

_COMMON = {
    "openai-version": "2020-10-01",
    "openai-organization": "minikin",
    "x-content-type-options": "nosniff",
    "access-control-expose-headers": "X-Request-ID",
}


def common_headers(identifier: str | None = None) -> dict[str, str]:
    """Those headers, for the request of this id or of a new one."""
    return {"x-request-id": identifier or request_id(), **_COMMON}
