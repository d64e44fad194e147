"""Describes the format of an answer to the model, in the wording that its family was trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from minikin.chat.call_formats import LLAMA, format_of
from minikin.chat.harmony import in_channels
from minikin.chat.messages import Hide, Message
from minikin.chat.schema_text import MAX_CHARS, Schema, as_fields, as_json, cut, one_line, shortened
from minikin.chat.tools import with_system

_BESIDE_CALLS = "This is for answers without a function call."


class AnswerFormat(msgspec.Struct, frozen=True):
    """What a request's `response_format` asks for."""

    schema: dict[str, Any] | None
    """None: any JSON object."""
    name: str = ""
    description: str = ""
    beside_calls: bool = False
    """Whether the model can call a function instead."""
    most_chars: int = MAX_CHARS
    """A longer text is shortened."""


class _Style(msgspec.Struct, frozen=True):
    """The wording for one family of models."""

    any_object: str
    """For any JSON object."""
    with_schema: str
    """For a `schema`, with the `name` and `description` that the client gives it."""
    write: Callable[[Schema], str] = as_json
    description: str = ""
    """The frame of a description; empty: it becomes part of the schema."""


_HERMES = _Style(
    "You are a helpful assistant that answers in JSON.",
    "You are a helpful assistant that answers in JSON. Here's the json schema you must adhere to:\n"
    "<schema>\n{schema}\n</schema>",
)
"""Of Hermes (NousResearch, Hermes-Function-Calling) and of Granite (IBM's model cards)."""
_LLAMA = _Style(
    "Please respond in JSON format.", "Please respond in JSON format with the schema: {schema}"
)
"""Of Llama (Meta's llama-stack)."""
_HARMONY = _Style(
    "Answer with a JSON object.",
    "# Response Formats\n\n## {name}\n\n{description}{schema}",
    description="// {}\n",
)
"""Of gpt-oss (OpenAI's cookbook, "OpenAI harmony response format")."""
_SCHEMA = _Style("Answer in JSON.", "Answer in JSON that follows this schema:\n{schema}")
"""For other models with tools: they were trained on JSON Schema."""
_FIELDS = _Style(
    "Answer in JSON.",
    "Read the user's message and answer in JSON.{description} The fields are:\n{schema}",
    as_fields,
    description=" {}",
)
"""For models without tools. docs/performance.md compares the wordings on the default model."""


def with_format(
    messages: Sequence[Message], asked: AnswerFormat, source: str, hide: Hide
) -> list[Message]:
    """`messages` with the format of the answer in the system message, after the client's text.

    `messages` come from `for_template`, `source` is the chat template. `hide` is applied to the
    added text.
    """
    first, *rest = with_system(messages)
    parts = [first["content"], hide(format_text(asked, source))]
    if asked.beside_calls:
        parts.append(_BESIDE_CALLS)
    return [first | {"content": "\n\n".join(filter(None, parts))}, *rest]


def format_text(asked: AnswerFormat, source: str) -> str:
    """The description for a model with this chat template."""
    style = _style(source)
    if asked.schema is None:
        return style.any_object
    schema, description = asked.schema, one_line(asked.description)
    if style.write is as_fields:
        description = description or one_line(schema.get("description"))
    if description and style.description:
        description = style.description.format(cut(description, asked.most_chars // 2))
    elif description:
        schema = {"description": description} | schema
    for shorter in shortened(schema):
        text = style.with_schema.format(
            name=asked.name, description=description, schema=style.write(shorter)
        )
        if len(text) <= asked.most_chars:
            return text
    return style.any_object


def _style(source: str) -> _Style:
    if in_channels(source):
        return _HARMONY
    if "function calling AI model" in source or "<|start_of_role|>" in source:
        return _HERMES
    calls = format_of(source)
    if calls == LLAMA:
        return _LLAMA
    return _SCHEMA if calls.native else _FIELDS
