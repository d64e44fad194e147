"""The errors of a request body, in the words of api.openai.com.

Each function makes one kind of error for the value at `path`. Paths have OpenAI's format:
`messages[0].content[1].type`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from minikin.errors import InvalidRequest

Sized = Literal["string", "array"]
"""What has a length."""


def wrong_type(path: str, expected: str, value: Any) -> InvalidRequest:
    """A JSON type other than `expected`, which reads like "a string"."""
    return InvalidRequest(
        f"Invalid type for '{path}': expected {expected}, but got {kind_of(value)} instead.",
        param=path,
        code="invalid_type",
    )


def no_object(value: Any) -> InvalidRequest:
    """A body that is not a JSON object."""
    return InvalidRequest(f"The JSON body must be an object, but is {kind_of(value)}.")


def kind_of(value: Any) -> str:
    """The JSON type of a decoded value, in the words of OpenAI's messages."""
    kinds = {
        type(None): "null",
        bool: "a boolean",
        int: "an integer",
        float: "a decimal number",
        str: "a string",
        list: "an array",
        dict: "an object",
    }
    return kinds[type(value)]


def out_of_range(
    path: str, kind: Literal["integer", "decimal"], value: float, limit: float, *, above: bool
) -> InvalidRequest:
    """A number outside its `limit`."""
    side, sign, code = ("above maximum", "<=", "max") if above else ("below minimum", ">=", "min")
    return InvalidRequest(
        f"Invalid '{path}': {kind} {side} value. "
        f"Expected a value {sign} {limit}, but got {value} instead.",
        param=path,
        code=f"{kind}_{side.split()[0]}_{code}_value",
    )


def too_long(path: str, kind: Sized, limit: int, size: int) -> InvalidRequest:
    """A string or array of more than `limit` characters or items."""
    article = "an" if kind == "array" else "a"
    return InvalidRequest(
        f"Invalid '{path}': {kind} too long. Expected {article} {kind} with maximum length "
        f"{limit}, but got {article} {kind} with length {size} instead.",
        param=path,
        code=f"{kind}_above_max_length",
    )


def empty(path: str, kind: Sized) -> InvalidRequest:
    """An empty string or array that needs at least one item."""
    article = "an" if kind == "array" else "a"
    return InvalidRequest(
        f"Invalid '{path}': empty {kind}. Expected {article} {kind} with minimum length 1, "
        f"but got an empty {kind} instead.",
        param=path,
        code=f"empty_{kind}",
    )


def too_many_properties(path: str, limit: int, size: int) -> InvalidRequest:
    """An object of more than `limit` properties."""
    return InvalidRequest(
        f"Invalid '{path}': too many properties. Expected an object with at most {limit} "
        f"properties, but got an object with {size} properties instead.",
        param=path,
        code="object_above_max_properties",
    )


def name_too_long(path: str, name: str, limit: int) -> InvalidRequest:
    """An object's property name of more than `limit` characters."""
    return InvalidRequest(
        f"Invalid property name in '{path}': '{name[:3]}...{name[-3:]}' is too long. Expected a "
        f"string with maximum length {limit}, but got a string with length {len(name)} instead.",
        param=f"{path}.{name}",
        code="property_name_above_max_length",
    )


def no_match(path: str, pattern: str) -> InvalidRequest:
    """A string that the regular expression `pattern` does not match."""
    return InvalidRequest(
        f"Invalid '{path}': string does not match pattern. "
        f"Expected a string that matches the pattern '{pattern}'.",
        param=path,
        code="invalid_value",
    )


def not_one_of(path: str, value: str, supported: Sequence[str]) -> InvalidRequest:
    """A string that is not one of `supported`."""
    if len(supported) == 1:
        choice = f"Value must be '{supported[0]}'."
    else:
        choice = f"Supported values are: {listed(supported)}."
    return InvalidRequest(f"Invalid value: '{value}'. {choice}", param=path, code="invalid_value")


def listed(values: Sequence[str]) -> str:
    """Values as an English list: 'a' and 'b'; 'a', 'b', and 'c'."""
    quoted = [f"'{value}'" for value in values]
    if len(quoted) < 3:
        return " and ".join(quoted)
    return ", ".join([*quoted[:-1], f"and {quoted[-1]}"])


def missing(path: str) -> InvalidRequest:
    """A required parameter that is missing."""
    return InvalidRequest(
        f"Missing required parameter: '{path}'.", param=path, code="missing_required_parameter"
    )


def unknown(path: str) -> InvalidRequest:
    """An unknown parameter in an object."""
    return InvalidRequest(f"Unknown parameter: '{path}'.", param=path, code="unknown_parameter")


def unrecognized(names: Sequence[str]) -> InvalidRequest:
    """Unknown parameters at the top level of the body."""
    plural = "s" if len(names) > 1 else ""
    return InvalidRequest(f"Unrecognized request argument{plural} supplied: {', '.join(names)}")


def only_with(param: str, other: str) -> InvalidRequest:
    """A parameter that needs another one, which is off."""
    return InvalidRequest(
        f"The '{param}' parameter is only allowed when '{other}' is enabled.", param=param
    )


def clashes(param: str, other: str) -> InvalidRequest:
    """A parameter that cannot be combined with another."""
    return InvalidRequest(
        f"Invalid value for '{param}': '{param}' can't be combined with '{other}'.",
        param=param,
        code="invalid_parameter_combination",
    )


def unsupported(param: str) -> InvalidRequest:
    """A parameter that this model does not support."""
    return InvalidRequest(
        f"Unsupported parameter: '{param}' is not supported with this model.",
        param=param,
        code="unsupported_parameter",
    )


def no_token(token: int, most: int) -> InvalidRequest:
    """An id in a prompt that is not a token of the model."""
    return InvalidRequest(
        f"Invalid token in prompt: {token}. Minimum value is 0, maximum value is {most} "
        "(inclusive)."
    )


def no_web_search(param: str) -> InvalidRequest:
    """Web search, which has its own error."""
    return InvalidRequest("Web search options not supported with this model.", param=param)


def unsupported_value(param: str, value: str, supported: Sequence[str]) -> InvalidRequest:
    """A valid value that this model does not support."""
    return InvalidRequest(
        f"Unsupported value: '{param}' does not support '{value}' with this model. "
        f"Supported values are: {listed(supported)}.",
        param=param,
        code="unsupported_value",
    )
