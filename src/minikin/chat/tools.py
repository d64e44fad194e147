"""Describes tools in the prompt if the chat template does not, or not in the usual place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from minikin.chat.call_formats import CallFormat
from minikin.chat.messages import Message


def with_tools(
    messages: Sequence[Message], tools: Sequence[dict[str, Any]], form: CallFormat, *, must: bool
) -> list[Message]:
    """`messages` with a system text that describes `tools`, and whether one must be called.

    The messages come from `for_template`. Text from clients in `tools` is hidden too, but the marks
    of `form` are not.
    """
    first, *rest = with_system(messages)
    text = _instructions(tools, form, must=must)
    return [first | {"content": "\n\n".join(filter(None, [first["content"], text]))}, *rest]


def in_system_message(
    messages: Sequence[Message], tools: Sequence[dict[str, Any]]
) -> list[Message]:
    """`messages` with `tools` as a field of the system message, as for Phi-4-mini."""
    first, *rest = with_system(messages)
    functions = [tool["function"] for tool in tools]
    return [first | {"tools": json.dumps(functions, ensure_ascii=False)}, *rest]


def with_system(messages: Sequence[Message]) -> list[Message]:
    """`messages` with a system message first. It is empty if there was none."""
    if messages and messages[0]["role"] in ("system", "developer"):
        return list(messages)
    return [{"role": "system", "content": ""}, *messages]


def _instructions(tools: Sequence[dict[str, Any]], form: CallFormat, *, must: bool) -> str:
    listed = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    example = form.write([{"name": "function-name", "arguments": {"argument": "value"}}])
    duty = (
        "Answer with a function call and nothing else."
        if must
        else "Call a function if it helps to answer; otherwise answer in plain words."
    )
    return (
        f"You can call these functions, described in JSON:\n{listed}\n\n"
        f"To call a function, write its name and its arguments like this:\n{example}\n\n{duty}"
    )
