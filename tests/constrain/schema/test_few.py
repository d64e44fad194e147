import re

import pytest

from minikin.constrain.schema.few import few_texts


@pytest.mark.parametrize(
    ("pattern", "texts"),
    [
        ("^id$", ["id"]),
        ("^$", [""]),
        ("^(on|off)$", ["on", "off"]),
        ("^(?:a|a|b c)$", ["a", "b c"]),
        ("^[a-c]$", ["a", "b", "c"]),
        ("^x[ab-cd]$", ["xa", "xb", "xc", "xd"]),
        (r"^a\.b\-c\/$", ["a.b-c/"]),
        ("^[ab][01]$", ["a0", "a1", "b0", "b1"]),
    ],
)
def test_the_texts_are_those_that_match(pattern, texts):
    assert few_texts(pattern, 8) == texts
    assert all(re.search(pattern, text) for text in texts)


@pytest.mark.parametrize(
    "pattern",
    [
        "", "a", "^a", "a$", "^a|b$", "^(a|b$", "^(a(b|c))$", "^a*$", "^a?$", "^a{2}$", "^.$",
        "^a.$", r"^\w$", r"^\d$", r"^a\$", r"^a\n$", "^[^a]$", "^[a$", r"^[\w]$", "^[a-z]$",
        "^[a-]$", "^[z-a]$", "^(?i:a)$", "^(?=a)a$", "^[a-c][a-c][a-c]$", "^é{2}$",
    ],
)  # fmt: skip
def test_a_pattern_with_unknown_texts_gives_none(pattern):
    assert few_texts(pattern, 8) in (None, [])
