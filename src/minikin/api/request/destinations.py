"""Where the value of a parameter goes. Every parameter has one or more of these destinations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from minikin.api.request import faults
from minikin.errors import InvalidRequest


def _unchanged(value: Any) -> Any:
    return value


class Sampling(msgspec.Struct, frozen=True):
    """A field of SamplingParams. It gets the result of `convert`."""

    field: str
    convert: Callable[[Any], Any] = _unchanged


class Request(msgspec.Struct, frozen=True):
    """A field of the request. It gets the result of `convert`."""

    field: str
    convert: Callable[[Any], Any] = _unchanged


class Setting(msgspec.Struct, frozen=True):
    """A field that an answer shows: the result of `convert`, or `default` without a value."""

    field: str
    default: Any = None
    convert: Callable[[Any], Any] = _unchanged


class DefaultOf(msgspec.Struct, frozen=True):
    """Another parameter. It gets this value if the request has no value for it.

    `convert` returns None to leave the other parameter without a value.
    """

    parameter: str
    convert: Callable[[Any], Any] = _unchanged


class Rejected(msgspec.Struct, frozen=True):
    """Nowhere: this server does not support the parameter. `error` takes its name."""

    error: Callable[[str], InvalidRequest] = faults.unsupported


class NoEffect(msgspec.Struct, frozen=True):
    """Nowhere: every value that the rule accepts gives the same answer."""


Destination = Sampling | Request | Setting | DefaultOf | Rejected | NoEffect
