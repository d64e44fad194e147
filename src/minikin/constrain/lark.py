"""Pieces of grammars in llguidance's format."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping


def literal(text: str, marks: Mapping[str, int]) -> str:
    """`text` with each of `marks` (text -> id) as its token. Empty for no text."""
    pattern = "|".join(re.escape(mark) for mark in marks) or "(?!)"
    pieces = filter(None, re.split(f"({pattern})", text))
    return " ".join(f"<[{marks[p]}]>" if p in marks else quote(p) for p in pieces)


def quote(text: str) -> str:
    """`text` as a literal."""
    return json.dumps(text, ensure_ascii=False)
