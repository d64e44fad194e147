"""The rules of tools, of the choice between them, and of the format of the text."""

from __future__ import annotations

from minikin.api.request.message_rules import MAX_TOOLS, NAME
from minikin.api.request.parameter_rules import Verbosity
from minikin.api.request.rules import (
    Array,
    Boolean,
    Either,
    FreeForm,
    Nullable,
    Object,
    OneOf,
    Rule,
    Tagged,
    Text,
)
from minikin.api.responses.rules import alternatives, optional, required, word

HOSTED = (
    "file_search", "web_search", "web_search_2025_08_26", "web_search_preview",
    "web_search_preview_2025_03_11", "code_interpreter", "image_generation", "mcp", "computer",
    "computer_use_preview", "local_shell", "shell", "apply_patch", "tool_search", "namespace",
    "programmatic_tool_calling",
)  # fmt: skip
"""Tools that OpenAI runs. This server has none of them."""
_FUNCTION = Object(
    required(type=OneOf(("function",)), name=NAME)
    | optional(
        description=Nullable(Text()), parameters=Nullable(FreeForm()), strict=Nullable(Boolean())
    )
)
_GRAMMAR = Object(
    required(type=OneOf(("grammar",)), syntax=word("lark", "regex"), definition=Text(min_length=1))
)
_CUSTOM = Object(
    required(type=OneOf(("custom",)), name=NAME)
    | optional(
        description=Nullable(Text()),
        format=Nullable(
            Tagged("type", {"text": Object(required(type=OneOf(("text",)))), "grammar": _GRAMMAR})
        ),
    )
)
_HOSTED: dict[str, Rule] = {kind: FreeForm() for kind in HOSTED}
TOOLS = Array(
    Tagged("type", {"function": _FUNCTION, "custom": _CUSTOM, **_HOSTED}),
    "an array of tools",
    MAX_TOOLS,
)

OWN = ("function", "custom")
"""Tools that the client runs."""
_NAMED: dict[str, Rule] = {kind: Object(required(type=OneOf((kind,)), name=NAME)) for kind in OWN}
_ALLOWED = Object(
    required(
        type=OneOf(("allowed_tools",)),
        mode=word("auto", "required"),
        tools=Array(
            Tagged("type", {**_NAMED, **_HOSTED}),
            "an array of objects",
            MAX_TOOLS,
            min_length=1,
        ),
    )
)
_CHOICES = ("none", "auto", "required")
TOOL_CHOICE = Either(
    f"one of an object or {alternatives(_CHOICES)}",
    {
        str: OneOf(_CHOICES),
        dict: Tagged("type", {**_NAMED, "allowed_tools": _ALLOWED, **_HOSTED}),
    },
)

_JSON_SCHEMA = Object(
    required(type=OneOf(("json_schema",)), name=NAME, schema=FreeForm())
    | optional(description=Nullable(Text()), strict=Nullable(Boolean()))
)
_FORMAT = Tagged(
    "type",
    {
        "json_object": Object(required(type=OneOf(("json_object",)))),
        "text": Object(required(type=OneOf(("text",)))),
        "json_schema": _JSON_SCHEMA,
    },
)
TEXT = Object(
    optional(format=Nullable(_FORMAT), verbosity=Nullable(word(*Verbosity().levels.values)))
)
