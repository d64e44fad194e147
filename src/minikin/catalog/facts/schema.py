"""The fields of each kind of record, their types, and the table of capabilities."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args

import yaml
from msgspec import UNSET, Meta, Struct, UnsetType, ValidationError, convert, defstruct

from minikin.catalog.facts.fact import RecordKind

_ID = re.compile(r"[A-Za-z0-9~@][\w.~:+()@/\- ]{0,159}", re.ASCII)
MAX_TEXT = 600
"""Maximum characters of one text value. A longer one is an attack or a mistake."""

Colour = Literal["blue", "teal", "cyan", "yellow", "red", "purple"]
Group = Literal["core", "further", "modality", "other"]


class Capability(NamedTuple):
    """One capability of an offering. Its badge shows `label value` on `colour`.

    `unobservable` is the reason why no probe can observe it. It is empty if one can.
    """

    id: str
    label: str
    value: str
    colour: Colour
    meaning: str
    group: Group
    unobservable: str = ""


@cache
def table(name: str) -> dict[str, Any]:
    """The content of a YAML file of the package."""
    return yaml.safe_load((Path(__file__).parent / name).read_text(encoding="utf-8"))


@cache
def capabilities() -> dict[str, Capability]:
    """Every capability by id, in the order of the pages."""
    rows = table("capabilities.yaml").items()
    return {name: convert((name, *row), Capability) for name, row in rows}


class FieldType(NamedTuple):
    """A type of values. `wanted` completes "must be ..."."""

    wanted: str
    type: Any

    def fault(self, value: Any) -> str | None:
        """The path to a value's first error, such as `.max` or `[2].above`. None if it is valid."""
        try:
            convert(value, self.type)
        except ValidationError as error:
            return str(error).partition(" - at `$")[2].rstrip("`")
        return None


def is_id(value: Any, kind: RecordKind) -> bool:
    """Whether an id is safe in file names, URLs and terminals, after a slug or quotes.

    An offering's id is `provider/model`.
    """
    if not isinstance(value, str) or _ID.fullmatch(value) is None or ".." in value:
        return False
    return kind != "offering" or all(value.partition("/"))


_CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"
_Text = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT, pattern=rf"\A[^{_CONTROL}]*\Z")]
_Url = Annotated[str, Meta(max_length=MAX_TEXT, pattern=rf"\Ahttps?://[^\s<>\"'`{_CONTROL}]+\Z")]
_Date = Annotated[str, Meta(pattern=r"\A\d{4}-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?\Z")]
_Count = Annotated[int, Meta(ge=0, lt=10**15)]
_Price = Annotated[float, Meta(ge=0, lt=1e6)]
_Number = Annotated[float, Meta(gt=-1e300, lt=1e300)]


class _Range(Struct, forbid_unknown_fields=True):
    """The range of a parameter."""

    min: _Number | UnsetType = UNSET
    max: _Number | UnsetType = UNSET
    default: _Number | UnsetType = UNSET


class _Tier(Struct, forbid_unknown_fields=True):
    """Prices for prompts longer than `above` tokens."""

    above: _Count
    input: _Price | UnsetType = UNSET
    output: _Price | UnsetType = UNSET
    cache_read: _Price | UnsetType = UNSET
    cache_write: _Price | UnsetType = UNSET


_Clock = Annotated[str, Meta(pattern=r"\A([01]\d|2[0-3]):[0-5]\d\Z")]


class _Hours(Struct, forbid_unknown_fields=True):
    """Prices from `start` to `end` in UTC, every day or on weekdays."""

    start: _Clock
    end: _Clock
    weekdays: bool = False
    input: _Price | UnsetType = UNSET
    output: _Price | UnsetType = UNSET
    cache_read: _Price | UnsetType = UNSET
    cache_write: _Price | UnsetType = UNSET


_Ranges = defstruct(
    "_Ranges",
    [(name, _Range | UnsetType, UNSET) for name in capabilities()],
    forbid_unknown_fields=True,
)

TEXT = FieldType(f"text of 1 to {MAX_TEXT} characters without control characters", _Text)
DATE = FieldType("a date such as 2025-04-14 or 2025-04", _Date)
_BILLING = ("plan", "trial", "local", "other units")
_FLAG = FieldType("true, false or null", bool)
_TYPES = {
    "text": TEXT,
    "date": DATE,
    "flag": _FLAG,
    "url": FieldType("an http or https URL", _Url),
    "count": FieldType("an integer, 0 or more", _Count),
    "price": FieldType("a finite number of US dollars per million tokens, 0 or more", _Price),
    "texts": FieldType("a list of texts", Annotated[list[_Text], Meta(max_length=64)]),
    "ranges": FieldType("a map of parameter to its {min, max, default} numbers", _Ranges),
    "tiers": FieldType("a list of {above: tokens, input: price, output: price}", list[_Tier]),
    "hours": FieldType("a list of {start: HH:MM, end: HH:MM, input: price}", list[_Hours]),
    "billing": FieldType(f"one of {', '.join(_BILLING)}", Literal[_BILLING]),
}
KINDS: tuple[RecordKind, ...] = get_args(RecordKind)


@cache
def fields(kind: RecordKind) -> dict[str, FieldType]:
    """The fields of a kind of record, in the order of the pages. Raises KeyError."""
    types = {name: _TYPES[type] for name, type in table("fields.yaml")[kind].items()}
    return types | (dict.fromkeys(capabilities(), _FLAG) if kind == "offering" else {})
