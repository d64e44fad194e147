"""Patterns with assertions in other words: what they say must stay the same, or be less."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikin.constrain.schema.opposites import opposites
from minikin.constrain.schema.patterns import (
    MAX_GROUPS,
    compiled,
    follow,
    looks_around,
    what_is_unknown,
)

texts = st.text("ab.-0 ", max_size=6)
EMAIL = (
    r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\-]*\.)+"
    r"[A-Za-z]{2,}$"
)
DECIMAL = r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"


@pytest.mark.parametrize(
    "ahead",
    [
        r"\.", "a", "^a", r"[ab]", r"[^ab]", r"\d", r"\S", "ab", "a|b0", r"[ab]\.", "a$", "ab$|0",
        r".*\.", r".*\.\.", r".*[ab]", ".*ab", ".*?a", r".*\s\s", ".*[ab][ab]",
        r"[-.]*$", r"[a]+$", r"\s*$", r"\d+$", ".", "..", ". *$",
    ],
)  # fmt: skip
@given(text=texts)
def test_an_opposite_matches_where_the_look_ahead_does_not(ahead, text):
    found = opposites(ahead)
    if found is None:
        assert ahead == ". *$"
        return
    assert all(re.search(p, text) for p in found) == (re.match(ahead, text) is None)


@pytest.mark.parametrize(
    "ahead", ["(a)", "a*b", ".*(a|b)", "a{2}", ".*a.*b", r"\w+\d", "", r"\b", ".*abc"]
)
def test_other_kinds_have_no_opposite(ahead):
    assert opposites(ahead) is None


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        (EMAIL, 3),
        (DECIMAL, 2),
        (r"^(?=.*[0-9])(?=.*[a-b])[ab0-9]{2,8}$", 3),
        (r"^(?!\s*$).+", 2),
        (r"^(?!aa|bb)[ab]{2}$", 3),
        (r"^(?<first>a)b$", 1),
        (r"^\p{L}+$", 1),
        (r"^\u{61}\u0062$", 1),
        (r"^[^]$", 1),
        (r"^\0\cA?$", 1),
        (r"^(?:a|b)\/\-$", 1),
    ],
)
@given(text=texts)
def test_a_rewritten_pattern_matches_the_same_texts(pattern, said, text):
    followed = follow(pattern)
    assert followed.exact
    assert len(followed.patterns) == said
    if any(part in pattern for part in (r"\p", "[^]", r"\c")):
        return  # Python has other words for these
    mine = all(compiled(p).search(text) for p in followed.patterns)
    assert mine == (compiled(pattern).search(text) is not None)


LOSSY = [
    r"\bab\b", r"^a\B.$", r"^(a|b)\1$", r"^(?<x>a|b)\k<x>$", r"(?<=a)b", r"^ab(?<!b)$",
    r"^a(?=b)b$", r"^(?!(a))ab$", r"^(?!a)b|a$", r"^a(?!b)..$", r"^(?:(?!ab).)*$", r"^((a)\2)\1$",
]  # fmt: skip


@pytest.mark.parametrize("pattern", LOSSY)
@given(text=texts)
def test_an_unsupported_assertion_is_ignored_and_the_rest_holds(pattern, text):
    followed = follow(pattern)
    assert not followed.exact
    assert followed.patterns
    if compiled(pattern).search(text):
        assert all(compiled(p).search(text) for p in followed.patterns)


@pytest.mark.parametrize(
    "pattern",
    ["(((", "a)", "foo**", "[", r"(a)\2", r"(\1)", r"\k<no>", "(" * 100_000, "a" * 11_000 + r"\b",
     "a++", "a*+", "a?+", "(ab)+?+", "[a-z]{2,3}+", "a???",
     "(?(1)a|b)", "(a)" + "".join(rf"(\{i}\{i})" for i in range(1, 30))],
    ids=lambda pattern: pattern[:12],
)  # fmt: skip
def test_an_unsupported_pattern_has_no_conditions(pattern):
    followed = follow(pattern)
    assert not followed.exact
    assert followed.patterns == ()


@pytest.mark.parametrize(
    "pattern", ["a??b", "a+?b", r"\++", "[+*]+", "(?:a+)+", "a{2}?", r"a\{2}{3}"]
)
def test_a_repetition_of_something_else_is_followed(pattern):
    assert follow(pattern).patterns == (pattern,)


def test_groups_within_groups_have_a_bound():
    deep = "(" * (MAX_GROUPS - 1) + r"\b" + ")" * (MAX_GROUPS - 1)
    assert follow(deep).patterns
    assert not follow(f"({deep})").patterns


@pytest.mark.parametrize(
    ("pattern", "around", "why"),
    [
        ("(?=a)", True, ""),
        ("(?<!a)b", True, ""),
        (r"\(?=a\)", False, "a part"),
        ("[(?=]", False, "a part"),
        (r"(a)\1", False, "back references"),
        (r"\bx", False, "word boundaries"),
        ("a++", False, "a repetition"),
        (r"^\Z$", False, "a part"),
    ],
)
def test_the_reason_of_an_unsupported_pattern(pattern, around, why):
    assert looks_around(pattern) == around
    assert around or what_is_unknown(pattern).startswith(why)
