"""What the checks judge with, apart from any server."""

import pytest

from minikin.catalog.facts.schema import capabilities
from minikin.catalog.probes.checks import CHECKS
from minikin.catalog.probes.checks_format import _is_json_so_far, fits
from minikin.catalog.probes.checks_sampling import _variety
from tests.real_model import ROOT

ODD = {
    "type": "object",
    "properties": {
        "mode": {"type": "string", "enum": ["k-41"]},
        "list": {"type": "array", "items": {"type": "boolean"}},
    },
}


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ({"mode": "k-41", "list": [True]}, True),
        ({"mode": "blue", "list": []}, False),
        ({"mode": "k-41"}, False),
        ({"mode": "k-41", "list": [], "more": 1}, False),
        ({"mode": "k-41", "list": ["true"]}, False),
        ([], False),
        (None, False),
    ],
)
def test_a_value_fits_its_schema_whole_or_not(value, good):
    assert fits(ODD, value) is good


def test_a_one_is_not_true():
    assert not fits({"enum": [True]}, 1)


@pytest.mark.parametrize(
    ("text", "cut", "good"),
    [
        ('{"a": 1}', False, True),
        ('{"a": [1, {"b": "unfinish', True, True),
        ('{"a": tru', True, True),
        ('{"a"', True, True),
        ('{"a": 1', False, False),
        ("Hello! JSON is a format.", True, False),
        ('Sure: {"a": 1}', False, False),
        ("{hello} and a lot of prose after it", True, False),
        ('{"a": 1} and a lot of prose after it', True, False),
        ('"just a string"', False, False),
        ("[1, 2]", False, False),
        ("  \n ", True, True),
        ("", False, False),
        ("{" * 5, True, False),
        ('{"a":' * 5000, True, False),
    ],
)
def test_truncated_json_differs_from_prose(text, cut, good):
    assert _is_json_so_far(text, cut) is good


def test_repeated_text_has_a_lower_share_of_new_text():
    assert (
        _variety("light" * 20) < 0.1 < 0.8 < _variety("Once upon a time in a small town by the sea")
    )


def test_every_capability_has_a_check_or_the_reason_why_none_can_observe_it():
    assert [c.id for c in capabilities().values() if not c.unobservable] == list(CHECKS)
    assert list(CHECKS) == [name for name in capabilities() if name in CHECKS]


def test_the_guide_describes_every_check():
    guide = (ROOT / "docs" / "catalog.md").read_text(encoding="utf-8")
    missing = [name for name in CHECKS if f"`{name}`" not in guide]
    assert missing == []
