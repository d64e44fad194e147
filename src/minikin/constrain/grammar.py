"""Grammars as text that llguidance reads: for response formats, and for tool calls.

See llguidance's docs/syntax.md for its Lark dialect and docs/json_schema.md for the options.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from minikin.constrain.narrow import any_object, narrow
from minikin.constrain.strict import check_strict
from minikin.constrain.subject import Subject

MAX_CALLS = 8
"""Calls in one answer: a small model would repeat itself for ever."""
MAX_SCHEMA_BYTES = 256 * 1024
_COMPACT = {"whitespace_flexible": False}
_SPACED = _COMPACT | {"item_separator": ", ", "key_separator": ": "}
"""The layout leaves no choice, so that no model loses itself in white space."""

Schema = dict[str, Any]


class CallForm(Protocol):
    """How a model writes a tool call; see `chat.call_formats.CallFormat`."""

    @property
    def begin(self) -> str:
        """What starts a call; free text is held to the form from here on."""
        ...

    @property
    def before_name(self) -> str:
        """Between `begin` and the function's name."""
        ...

    @property
    def before_arguments(self) -> str:
        """Between the name and the arguments."""
        ...

    @property
    def end(self) -> str:
        """After the arguments."""
        ...

    @property
    def separator(self) -> str:
        """Between two calls."""
        ...


class Function(msgspec.Struct, frozen=True):
    """A tool that may be called."""

    name: str
    arguments: Schema
    """The schema of its arguments, as `schema_for` makes it."""


def schema_for(schema: Schema, subject: Subject, *, strict: bool) -> Schema:
    """The narrowed schema with its layout: compact if strict, else with single spaces.

    Raises InvalidRequest.
    """
    size = len(json.dumps(schema))
    if size > MAX_SCHEMA_BYTES:
        raise subject.fault(f"it has {size} bytes, at most {MAX_SCHEMA_BYTES} are allowed.")
    if strict:
        check_strict(schema, subject)
    return narrow(schema, subject) | {"x-guidance": _COMPACT if strict else _SPACED}


def json_object() -> Schema:
    """The schema of any JSON object, with its layout."""
    return any_object() | {"x-guidance": _SPACED}


def schema_grammar(schema: Schema) -> str:
    """JSON of a schema with its layout."""
    return json.dumps({"grammars": [{"json_schema": schema}]}, ensure_ascii=False)


def call_grammar(
    form: CallForm,
    functions: Sequence[Function],
    *,
    several: bool,
    may_answer: bool,
    answer: Schema | None = None,
) -> str:
    """Calls of `functions`: one, or `several`.

    With `may_answer`, JSON of the schema `answer` may stand in their place. Without such a schema
    it is text that doesn't hold the form's `begin`, before the calls or in their place.
    """
    rules = ["%llguidance {}"]
    more = f" ({_quote(form.separator + form.begin)} call){{0,{MAX_CALLS - 1}}}" if several else ""
    if may_answer and answer is not None:
        rules += [
            f"start: answer | {_quote(form.begin)} call{more}",
            f"answer: %json {json.dumps(answer)}",
        ]
    elif may_answer:
        rules += [
            f"start: TEXT | lead call{more}",
            f"lead[lazy]: TEXT {_quote(form.begin)}",
            r"TEXT: /(.|\n)*/",
        ]
    else:
        rules.append(f"start: {_quote(form.begin)} call{more}")
    names = " | ".join(f"call{at}" for at in range(len(functions)))
    rules.append(f"call: {_quote(form.before_name)} ({names})")
    for at, function in enumerate(functions):
        head, tail = _quote(f"{function.name}{form.before_arguments}"), _quote(form.end)
        rules.append(f"call{at}: {head} arguments{at} {tail}")
        rules.append(f"arguments{at}: %json {json.dumps(function.arguments)}")
    return "\n".join(rules)


def _quote(text: str) -> str:
    return json.dumps(text)
