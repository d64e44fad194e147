"""Where the value of a parameter goes: a closed set, of which every parameter names some."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from minikin.api.request import faults
from minikin.errors import InvalidRequest


def _unchanged(value: Any) -> Any:
    return value


class Sampling(msgspec.Struct, frozen=True):
    """A field of SamplingParams, which gets the value as `convert` makes it."""

    field: str
    convert: Callable[[Any], Any] = _unchanged


class Request(msgspec.Struct, frozen=True):
    """A field of ChatRequest, which gets the value as `convert` makes it."""

    field: str
    convert: Callable[[Any], Any] = _unchanged


class Setting(msgspec.Struct, frozen=True):
    """A field that a stored completion shows, with `default` if the request has no value."""

    field: str
    default: Any = None


class DefaultOf(msgspec.Struct, frozen=True):
    """Another parameter, which gets this value if the request has none for it.

    `convert` returns None to leave the other parameter without a value.
    """

    parameter: str
    convert: Callable[[Any], Any] = _unchanged


class Rejected(msgspec.Struct, frozen=True):
    """Nowhere: the API has the parameter and this server does not. `error` takes its name."""

    error: Callable[[str], InvalidRequest] = faults.unsupported


class NoEffect(msgspec.Struct, frozen=True):
    """Nowhere: every value that the rule accepts gives the same answer."""


Destination = Sampling | Request | Setting | DefaultOf | Rejected | NoEffect
