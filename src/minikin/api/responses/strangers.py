"""The errors of fields that the Responses API does not have."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from minikin.api.request import faults
from minikin.errors import InvalidRequest

MOVED = {
    "messages": "input",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
}
"""Fields of chat completions, and where they are here."""
_MOST_EDITS = 2
_LONGEST = 64


def check_names(names: Iterable[str], known: Collection[str]) -> None:
    """Raise InvalidRequest for the first name in a body that is not known."""
    names = list(names)
    for name in names:
        if name in known:
            continue
        if name in MOVED:
            raise moved(name)
        near = [f"'{other}'" for other in nearest(name, set(known) - set(names))]
        fault = faults.unknown(name[:_LONGEST])
        guess = f" Did you mean {' or '.join(near)}?" if near else ""
        raise InvalidRequest(fault.message + guess, param=fault.param, code=fault.code)


def moved(name: str) -> InvalidRequest:
    """A field of chat completions that has another name here."""
    return InvalidRequest(
        f"Unsupported parameter: '{name}'. In the Responses API, this parameter has moved to "
        f"'{MOVED[name]}'. Try again with the new parameter. See the API documentation for more "
        "information: https://platform.openai.com/docs/api-reference/responses/create.",
        code="unsupported_parameter",
    )


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Up to two names within two edits of `name`, the nearest first."""
    if len(name) > _LONGEST:
        return []
    near = sorted((_edits(name, other), other) for other in known)
    return [other for edits, other in near[:2] if edits <= _MOST_EDITS]


def _edits(one: str, other: str) -> int:
    """The Levenshtein distance: insertions, deletions and replacements of a character."""
    row = list(range(len(other) + 1))
    for at, character in enumerate(one, 1):
        last, row[0] = row[0], at
        for to, wanted in enumerate(other, 1):
            last, row[to] = row[to], min(row[to] + 1, row[to - 1] + 1, last + (character != wanted))
    return row[-1]
