"""The routes that the OpenAPI document leaves out."""

from __future__ import annotations

OF_PEOPLE = {
    "/docs", "/openapi.json", "/", "/page/{path:path}", "/playground.json", "/dashboard",
    "/dashboard.json", "/dashboard/requests/{id}/cancel", "/dashboard/models/{model:path}/load",
    "/dashboard/models/{model:path}/unload", "/docs/", "/dashboard/", "/catalog/",
}  # fmt: skip
"""Pages for people, what they need, and the document itself."""
