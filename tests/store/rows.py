"""Rows for the tables of the store."""

from __future__ import annotations

from typing import Any


def completion(name: str) -> dict[str, Any]:
    """A row of `completions` with this id."""
    return {"id": name, "owner": "", "model": "m", "body": {}, "messages": [], "metadata": {}}
