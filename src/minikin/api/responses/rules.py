"""Rules whose errors only the Responses API has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, get_args

import msgspec

from minikin.api.request import faults
from minikin.api.request.answer_request import ReasoningEffort
from minikin.api.request.rules import OneOf, Property, Rule, Tagged, Text
from minikin.errors import InvalidRequest

MAX_ID = 64
_LONGEST_SHOWN = 16
"""Characters. OpenAI shows 12 and cuts 20."""
_FIRST_EFFORTS = ("minimal", "low", "medium", "high")
_ID = re.compile(r"[A-Za-z0-9_-]*")


def required(**rules: Rule) -> dict[str, Property]:
    """Properties that an object must have."""
    return {name: Property(rule, required=True) for name, rule in rules.items()}


def optional(**rules: Rule) -> dict[str, Property]:
    """Properties that an object can have."""
    return {name: Property(rule) for name, rule in rules.items()}


def alternatives(values: Sequence[str]) -> str:
    """Values as OpenAI lists them for a wrong type: 'a' or 'b'; 'a', 'b', or 'c'.

    Of a long value it shows both ends: 'mes...obs'.
    """
    quoted = [
        f"'{value}'" if len(value) <= _LONGEST_SHOWN else f"'{value[:3]}...{value[-3:]}'"
        for value in values
    ]
    if len(quoted) < 3:
        return " or ".join(quoted)
    return ", ".join([*quoted[:-1], f"or {quoted[-1]}"])


def word(*values: str) -> OneOf:
    """One of a few strings. Here, the error for another type lists them."""
    return OneOf(values, f"one of {alternatives(values)}")


class Effort(msgspec.Struct, frozen=True):
    """How much a model reasons. OpenAI also knows an integer, which it has no models for."""

    levels: tuple[str, ...] = (*get_args(ReasoningEffort), "max")

    def check(self, value: Any, path: str) -> str:
        """See Rule."""
        if type(value) is int:
            raise faults.wrong_type(path, f"one of {alternatives(_FIRST_EFFORTS)}", value)
        expected = f"one of one of {alternatives(self.levels)} or integer"
        return OneOf(self.levels, expected).check(value, path)

    @property
    def schema(self) -> dict[str, Any]:
        """See Rule."""
        return OneOf(self.levels).schema

    def __str__(self) -> str:
        return str(OneOf(self.levels))


class Identifier(msgspec.Struct, frozen=True):
    """The id of an item or object, with a prefix."""

    prefix: str

    def check(self, value: Any, path: str) -> str:
        """See Rule."""
        text = Text(MAX_ID).check(value, path)
        if not text.startswith(self.prefix):
            raise _bad_id(path, text, f"an ID that begins with '{self.prefix}'")
        if not _ID.fullmatch(text):
            raise _bad_id(
                path,
                text,
                "an ID that contains letters, numbers, underscores, or dashes, but this value "
                "contained additional characters",
            )
        return text

    @property
    def schema(self) -> dict[str, Any]:
        """See Rule."""
        pattern = f"^{self.prefix}[A-Za-z0-9_-]*$"
        return {"type": "string", "maxLength": MAX_ID, "pattern": pattern}

    def __str__(self) -> str:
        return f"id that begins with `{self.prefix}`"


def _bad_id(path: str, value: str, expected: str) -> InvalidRequest:
    return InvalidRequest(
        f"Invalid '{path}': '{value}'. Expected {expected}.", param=path, code="invalid_value"
    )


class Variant(Tagged, frozen=True, kw_only=True):
    """A Tagged object with other places in its errors, and perhaps without a tag."""

    absent: str | None = None
    """The kind of an object without `tag`. None: the tag is required."""
    expected: str = "an object"
    unknown_at: str = ""
    """The end of the path of an unknown kind, after the object's own path."""

    def check(self, value: Any, path: str) -> dict[str, Any]:
        """See Rule."""
        if not isinstance(value, dict):
            raise faults.wrong_type(path, self.expected, value)
        kind = value.get(self.tag, self.absent)
        if kind is None and self.tag not in value:
            raise faults.missing(f"{path}.{self.tag}")
        kind = kind if isinstance(kind, str) else ""  # as OpenAI reports another type
        if kind in self.kinds:
            return self.kinds[kind].check(value, path)
        if kind in self.known:
            raise faults.not_one_of(path, kind, tuple(self.kinds))
        raise faults.not_one_of(path + self.unknown_at, kind, self.known)
