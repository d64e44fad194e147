"""A top-level field of a body, and a table of all fields that one endpoint accepts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import msgspec

from minikin.api.request.destinations import DefaultOf, Destination, Request, Sampling, Setting
from minikin.api.request.rules import Rule


class Parameter(msgspec.Struct, frozen=True):
    """One top-level field of the body."""

    name: str
    rule: Rule
    goes_to: tuple[Destination, ...]
    default: str
    """The value if the field is absent, as the reference prints it."""
    behaviour: str
    difference: str = ""
    """How the answer differs from OpenAI's. Empty if it is the same."""


Place = TypeVar("Place", bound=Destination)


class ParameterTable:
    """The parameters of an endpoint. Distributes the values of a body to their destinations."""

    def __init__(
        self, parameters: tuple[Parameter, ...], extensions: tuple[Parameter, ...]
    ) -> None:
        self._originals = parameters
        self.parameters = parameters + extensions
        self._sampling = tuple(self.going_to(Sampling))
        self._request = tuple(self.going_to(Request))
        self._settings = tuple(self.going_to(Setting))
        self._defaults = tuple(self.going_to(DefaultOf))

    def served(self, *, extensions: bool) -> tuple[Parameter, ...]:
        """What a server accepts beside `model`, with or without the extensions."""
        return self.parameters if extensions else self._originals

    def going_to(self, kind: type[Place]) -> Iterator[tuple[Parameter, Place]]:
        """Every parameter with each of its destinations of one kind."""
        for parameter in self.parameters:
            for destination in parameter.goes_to:
                if isinstance(destination, kind):
                    yield parameter, destination

    def with_defaults(self, values: dict[str, Any]) -> dict[str, Any]:
        """The values, with those that one parameter gives to another."""
        implied = {
            to.parameter: to.convert(values[parameter.name])
            for parameter, to in self._defaults
            if parameter.name in values
        }
        return {name: value for name, value in implied.items() if value is not None} | values

    def sampling(self, values: dict[str, Any]) -> dict[str, Any]:
        """The fields of SamplingParams."""
        return _fields(self._sampling, values)

    def request(self, values: dict[str, Any]) -> dict[str, Any]:
        """The fields of the request."""
        return _fields(self._request, values)

    def settings(self, values: dict[str, Any]) -> dict[str, Any]:
        """The fields that an answer shows."""
        return {
            to.field: to.convert(values[p.name]) if p.name in values else to.default
            for p, to in self._settings
        }


def check_each(body: dict[str, Any], parameters: Iterable[Parameter]) -> dict[str, Any]:
    """The values in `body` that are not null. Each satisfies its own rule, in this order.

    Raises InvalidRequest.
    """
    values = {}
    for parameter in parameters:
        if parameter.name in body:
            value = parameter.rule.check(body[parameter.name], parameter.name)
            if value is not None:
                values[parameter.name] = value
    return values


def _fields(
    places: Iterable[tuple[Parameter, Sampling | Request]], values: dict[str, Any]
) -> dict[str, Any]:
    return {
        to.field: to.convert(values[parameter.name])
        for parameter, to in places
        if parameter.name in values
    }
