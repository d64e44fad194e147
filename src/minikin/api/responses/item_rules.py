"""The rules of input items."""

from __future__ import annotations

from typing import Any

import msgspec

from minikin.api.request.message_rules import NAME
from minikin.api.request.rules import (
    Array,
    Either,
    FreeForm,
    Nullable,
    Object,
    OneOf,
    Property,
    Rule,
    Text,
)
from minikin.api.responses.rules import Identifier, Variant, optional, required, word

MAX_ITEMS = 4096
MAX_PARTS = 1024
MAX_OUTPUT_CHARS = 10 * 1024 * 1024
"""Of the output of a function call."""
ITEM_TYPES = (
    "additional_tools", "agent_message", "apply_patch_call", "apply_patch_call_output",
    "code_interpreter_call", "compaction", "compaction_trigger", "computer_call",
    "computer_call_output", "custom_tool_call", "custom_tool_call_output", "file_search_call",
    "function_call", "function_call_output", "image_generation_call", "item_reference",
    "local_shell_call", "local_shell_call_output", "mcp_approval_request",
    "mcp_approval_response", "mcp_call", "mcp_list_tools", "message", "multi_agent_call",
    "multi_agent_call_output", "program", "program_output", "reasoning", "shell_call",
    "shell_call_output", "tool_search_call", "tool_search_output", "web_search_call",
)  # fmt: skip
"""The item types that OpenAI's errors name."""
PART_TYPES = (
    "input_text", "input_image", "input_audio", "output_text", "refusal", "input_file",
    "computer_screenshot", "summary_text", "encrypted_content",
)  # fmt: skip
"""The part types that OpenAI's errors name."""
ROLES = ("assistant", "system", "developer", "user")
_STATUS = Nullable(word("in_progress", "completed", "incomplete"))
_CALL_ID = Text(max_length=64, min_length=1)
_ANY = Array(FreeForm(), "an array of objects", 65_536)
_LINK = Nullable(Text())


def _kind(kind: str, **fields: Property) -> Object:
    return Object(required(type=OneOf((kind,))) | fields)


class Unread(msgspec.Struct, frozen=True):
    """A part of any form that no model here reads. It gets an error of its own later."""

    kind: str

    def check(self, value: Any, path: str) -> dict[str, Any]:
        """See Rule."""
        return FreeForm().check(value, path)

    @property
    def schema(self) -> dict[str, Any]:
        """See Rule."""
        return {
            "type": "object",
            "properties": {"type": {"const": self.kind}},
            "required": ["type"],
        }

    def __str__(self) -> str:
        return "object"


_PARTS: dict[str, Rule] = {
    "input_text": _kind("input_text", **required(text=Text())),
    "input_image": _kind(
        "input_image",
        **optional(
            detail=Nullable(word("low", "high", "auto", "original")),
            file_id=_LINK,
            image_url=_LINK,
        ),
    ),
    "input_file": _kind(
        "input_file",
        **optional(file_data=_LINK, file_id=_LINK, file_url=_LINK, filename=_LINK),
    ),
    "output_text": _kind(
        "output_text",
        **required(text=Text()),
        **optional(annotations=Nullable(_ANY), logprobs=Nullable(_ANY)),
    ),
    "refusal": _kind("refusal", **required(refusal=Text())),
    "scoped_content": Unread("scoped_content"),
    "input_audio": Unread("input_audio"),
}
UNREAD = ("input_image", "input_file", "scoped_content", "input_audio")
"""The parts that no model here reads."""


def _content(*kinds: str) -> Either:
    """Text, or parts of these kinds."""
    part = Variant(
        tag="type",
        kinds={kind: _PARTS[kind] for kind in kinds},
        known=PART_TYPES,
        unknown_at=".type",
    )
    parts = Array(part, "an array of objects", MAX_PARTS)
    return Either("one of an array of objects or string", {str: Text(), list: parts})


_INPUT = _content("input_text", *UNREAD)


def _message(role: str, content: Rule, **more: Property) -> Object:
    return Object(
        required(role=OneOf((role,)), content=content)
        | optional(
            type=Nullable(OneOf(("message",))), id=Nullable(Identifier("msg")), status=_STATUS
        )
        | more
    )


MESSAGE = Variant(
    tag="role",
    kinds={
        "assistant": _message(
            "assistant",
            _content("output_text", "refusal"),
            **optional(phase=Nullable(word("commentary", "final_answer"))),
        ),
        **{role: _message(role, _INPUT) for role in ROLES[1:]},
    },
    known=ROLES,
    absent="",
)


def _call(kind: str, prefix: str, **fields: Property) -> Object:
    return _kind(kind, **required(call_id=_CALL_ID), **fields, **_identified(prefix))


def _identified(prefix: str) -> dict[str, Property]:
    return optional(id=Nullable(Identifier(prefix)), status=_STATUS)


class Reasoning(msgspec.Struct, frozen=True):
    """A reasoning item. Its id is checked, because the store finds it by this."""

    def check(self, value: Any, path: str) -> dict[str, Any]:
        """See Rule."""
        FreeForm().check(value, path)
        Nullable(Identifier("")).check(value.get("id"), f"{path}.id")
        return value

    @property
    def schema(self) -> dict[str, Any]:
        """See Rule."""
        return FreeForm().schema

    def __str__(self) -> str:
        return "object"


_OUTPUT = Either(
    "one of an array of objects or string",
    {
        str: Text(MAX_OUTPUT_CHARS),
        list: _content("input_text", *UNREAD[:-1]).by_type[list],
    },
)
ITEM = Variant(
    tag="type",
    kinds={
        "message": MESSAGE,
        "function_call": _call("function_call", "fc", **required(name=NAME, arguments=Text())),
        "function_call_output": _call("function_call_output", "fc", **required(output=_OUTPUT)),
        "custom_tool_call": _call("custom_tool_call", "ctc", **required(name=NAME, input=Text())),
        "custom_tool_call_output": _call(
            "custom_tool_call_output", "ctc", **required(output=_OUTPUT)
        ),
        "item_reference": _kind("item_reference", **required(id=Text(max_length=512))),
        "reasoning": Reasoning(),
    },
    known=ITEM_TYPES,
    absent="message",
    expected="an input item",
)
INPUT = Either(
    "one of a string or array of input items",
    {str: Text(), list: Array(ITEM, "an array of input items", MAX_ITEMS)},
)
