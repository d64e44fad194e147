"""What a record of each kind may say: field names, value types, and the table of capabilities."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import yaml

_ID = re.compile(r"[A-Za-z0-9~@][\w.~:+()@/\- ]{0,159}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
MAX_TEXT = 600
"""Characters in one text value; a longer one is an attack or a mistake."""


class Capability(NamedTuple):
    """One thing an offering can do: a badge reads `label value` on `colour`."""

    id: str
    label: str
    value: str
    colour: str
    meaning: str
    group: str


@cache
def capabilities() -> dict[str, Capability]:
    """Every capability by id, in the order pages show them."""
    return {name: Capability(name, *row) for name, row in _table("capabilities.yaml").items()}


class FieldType(NamedTuple):
    """A value type: `wanted` completes "must be ..."; `accepts` tells a value that will do."""

    wanted: str
    accepts: Callable[[Any], bool]


def is_id(value: Any, kind: str) -> bool:
    """An id fit for a file name, a URL and a terminal once slugged or quoted.

    An offering's is `provider/model`.
    """
    if not isinstance(value, str) or _ID.fullmatch(value) is None or ".." in value:
        return False
    return kind != "offering" or all(value.partition("/"))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_TEXT and not _CONTROL.search(value)


def _is_url(value: Any) -> bool:
    return _is_text(value) and re.fullmatch(r"https?://[^\s<>\"'`]+", value) is not None


def _is_date(value: Any) -> bool:
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d\d(-\d\d)?", value):
        return False
    try:
        date.fromisoformat(value if len(value) == 10 else f"{value}-01")
    except ValueError:
        return False
    return True


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _is_price(value: Any) -> bool:
    return _is_number(value) and 0 <= value < 1_000_000


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**15


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= 64 and all(_is_text(item) for item in value)


def _is_ranges(value: Any) -> bool:
    return isinstance(value, dict) and all(
        name in capabilities()
        and isinstance(row, dict)
        and row.keys() <= {"min", "max", "default"}
        and all(_is_number(number) for number in row.values())
        for name, row in value.items()
    )


def _is_tiers(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(row, dict) and _is_count(row.get("above")) and all(map(_is_price, row.values()))
        for row in value
    )


TEXT = FieldType(f"text of 1 to {MAX_TEXT} characters without control characters", _is_text)
DATE = FieldType("a date such as 2025-04-14 or 2025-04", _is_date)
_FLAG = FieldType("true, false or null", lambda value: isinstance(value, bool))
_TYPES = {
    "text": TEXT,
    "date": DATE,
    "flag": _FLAG,
    "url": FieldType("an http or https URL", _is_url),
    "count": FieldType("a whole number, 0 or more", _is_count),
    "price": FieldType("a finite number of US dollars per million tokens, 0 or more", _is_price),
    "texts": FieldType("a list of texts", _is_texts),
    "ranges": FieldType("a map of parameter to its {min, max, default} numbers", _is_ranges),
    "tiers": FieldType("a list of {above: tokens, input: price, output: price}", _is_tiers),
}
KINDS = ("author", "model", "provider", "offering")


@cache
def fields(kind: str) -> dict[str, FieldType]:
    """The fields of a kind of record, in the order pages show them. Raises KeyError for no kind."""
    types = {name: _TYPES[type] for name, type in _table("fields.yaml")[kind].items()}
    return types | (dict.fromkeys(capabilities(), _FLAG) if kind == "offering" else {})


@cache
def _table(name: str) -> dict[str, Any]:
    return yaml.safe_load((Path(__file__).parent / name).read_text(encoding="utf-8"))
