"""Turns the items of a context into the messages that chat templates read."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from typing import Any

from minikin.api.responses import custom_tools

CALLS = ("function_call", "custom_tool_call")
OUTPUTS = ("function_call_output", "custom_tool_call_output")
Item = dict[str, Any]
Message = dict[str, Any]


def to_messages(items: Iterable[Item], instructions: str | None) -> list[Message]:
    """The messages of `items`, after the instructions. Each call is followed by its output.

    Calls next to each other, and the text before them, are one message. Reasoning belongs to the
    message after it.
    """
    outputs: dict[str, deque[Item]] = defaultdict(deque)
    first = [{"role": "developer", "content": instructions}] if instructions else []
    messages: list[Message] = []
    thought, joins = "", False
    for item in items:
        kind = item["type"]
        if kind == "reasoning":
            thought, joins = _thought(item), False
            continue
        if kind in OUTPUTS:
            outputs[item["call_id"]].append(item)
        elif kind == "message":
            messages.append({"role": item["role"], "content": _content(item["content"])})
        elif joins:
            messages[-1].setdefault("tool_calls", []).append(_call(item))
        else:
            messages.append({"role": "assistant", "content": None, "tool_calls": [_call(item)]})
        joins = kind in CALLS or item.get("role") == "assistant"
        if joins and thought:
            messages[-1]["reasoning_content"], thought = thought, ""
    return [*first, *_with_outputs(messages, outputs)]


def turns(messages: list[Message]) -> list[list[Message]]:
    """`messages` in groups that can be dropped: each message with the outputs of its calls."""
    groups: list[list[Message]] = []
    for message in messages:
        if message["role"] == "tool" and groups:
            groups[-1].append(message)
        else:
            groups.append([message])
    return groups


def _with_outputs(
    messages: Iterable[Message], outputs: dict[str, deque[Item]]
) -> Iterator[Message]:
    for message in messages:
        yield message
        for call in message.get("tool_calls", ()):
            for item in [outputs[call["id"]].popleft()] if outputs[call["id"]] else []:
                yield {
                    "role": "tool",
                    "tool_call_id": item["call_id"],
                    "content": _content(item["output"]),
                }


def _call(item: Item) -> Message:
    custom = item["type"] == "custom_tool_call"
    given = custom_tools.arguments(item["input"]) if custom else item["arguments"]
    function = {"name": item["name"], "arguments": given}
    return {"id": item["call_id"], "type": "function", "function": function}


def _content(content: str | list[Item]) -> str | list[Item]:
    if isinstance(content, str):
        return content
    return [
        {"type": "refusal", "refusal": part["refusal"]}
        if part["type"] == "refusal"
        else {"type": "text", "text": part.get("text", "")}
        for part in content
    ]


def _thought(item: Item) -> str:
    """The text of a reasoning item of this server. Other servers' reasoning is not readable."""
    parts = item.get("content")
    texts = [p.get("text") for p in parts if isinstance(p, dict)] if isinstance(parts, list) else []
    return "".join(text for text in texts if isinstance(text, str))
