"""Documents, and all text in the package, are in plain English (CONTRIBUTING.md, Words)."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
PACKAGE = ROOT / "src" / "minikin"
SOURCES = [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.[ch]")]
BANNED = re.compile(
    r"""
    (?<!here\s)\b(is|are|was)\sno\s(?!longer|more|less|other|faster|slower|better|larger)\w+
    | \btold\b | \btells?\s(of|\w+\sfrom|from|whether)\b | \btaken\sfor\b
    | \blets?\s(\w+\s)?in\b | \bgo(es)?\son\b | \b(stands?|stood)\b
    | \bwith\s\S+\salone\b | \b(nobody|anyone)\b | \bforbids?\b
    | \bbroken\sdownloads?\b | \bsoberest\b | \bwildest\b | \bhalf\snumber\b | \bhostile\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""The phrases that readers stumbled over most."""
EXAMPLES = re.compile(r"(?<=\| write \| do not write \|\n).*?(?=\n\n)", re.DOTALL)
"""What CONTRIBUTING.md advises against."""


def found_in(text: str) -> list[str]:
    return [found.group() for found in BANNED.finditer(" ".join(text.split()))]


def texts_of(source: Path) -> Iterator[str]:
    """Strings and comments of a Python file; all of a C file."""
    text = source.read_text()
    if source.suffix != ".py":
        yield text
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    yield " ".join(token.string for token in tokens if token.type == tokenize.COMMENT)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents_are_plain(document: Path):
    assert found_in(EXAMPLES.sub("", document.read_text())) == []


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_texts_of_the_package_are_plain(source: Path):
    assert [phrase for text in texts_of(source) for phrase in found_in(text)] == []


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("A folder is no model.", ["is no model"]),
        ("There is no model, it is no longer here.", []),
        ("It was told so,\nand is taken for one.", ["told", "taken for"]),
    ],
)
def test_the_search_finds_phrases(text: str, phrases: list[str]):
    assert found_in(text) == phrases
