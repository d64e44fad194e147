"""The routes that the OpenAPI document leaves out."""

from __future__ import annotations

OF_PEOPLE = {"/docs", "/openapi.json", "/", "/page/{path:path}", "/playground.json"}
"""Pages for people, what they need, and the document itself."""
