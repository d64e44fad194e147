"""Documents and the strings of the package are in plain English (CONTRIBUTING.md, Words)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GENERATED = "compatibility.md"
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
BANNED = re.compile(
    r"\b(is|are|was) no \w|\btold\b|\btells? (of|from)\b|\btaken for\b|\blets? (\w+ )?in\b"
    r"|\b(goes|go) on (with|where)\b|\bwith \S+ alone\b|\bnobody who\b|\bforbids? to\b",
    re.IGNORECASE,
)
"""The phrases that readers stumbled over most."""
QUOTED = re.compile(r"^\| (The file is no model|is taken for|a crash of|On two|X is gone).*$", re.M)
"""The rows of CONTRIBUTING.md that show what not to write."""


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents_are_plain(document: Path):
    text = QUOTED.sub("", document.read_text())
    assert [found.group() for found in BANNED.finditer(text)] == []
