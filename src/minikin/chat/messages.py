"""Rewrites a conversation into the terms that a chat template knows.

OpenAI's messages have roles, names, content parts and tool calls in any order; most templates know
system, user and assistant with one string each. What a template's source never mentions is written
into the text instead, so that nothing a client sends is lost on the way to the model; only what an
assistant thought is left out for models that aren't shown it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

_NAMES = re.compile(r"""message(\.name\b|\[['"]name['"]\])""")
_NINE = re.compile(r"length\s*!=\s*9")
"""How Mistral's templates judge the ids of calls."""

Message = dict[str, Any]
Hide = Callable[[Any], Any]


def for_template(messages: Iterable[Mapping[str, Any]], source: str, hide: Hide) -> list[Message]:
    """`messages` for the template with this `source`; `hide` is applied to each client string."""
    return [_rewrite(message, source, hide) for message in messages]


def alternating(messages: Iterable[Message]) -> list[Message]:
    """The same conversation as user and assistant in turns, user first.

    For templates that refuse anything else: system text goes before the first user's, and
    neighbours of one role become one message.
    """
    turns: list[Message] = []
    for message in messages:
        role = "assistant" if message["role"] == "assistant" else "user"
        if not turns and role == "assistant":
            turns.append({"role": "user", "content": ""})
        if turns and turns[-1]["role"] == role:
            joined = (turns[-1]["content"], message["content"])
            turns[-1]["content"] = "\n\n".join(text for text in joined if text)
        else:
            turns.append({"role": role, "content": message["content"]})
    return turns


def _rewrite(message: Mapping[str, Any], source: str, hide: Hide) -> Message:
    role, text = message["role"], _text(message, hide)
    name = message.get("name")
    if name and not _NAMES.search(source):
        text = f"{hide(name)}: {text}"
    if role == "developer" and "developer" not in source:
        role = "system"
    rewritten: Message = {"role": role, "content": text}
    if name:
        rewritten["name"] = hide(name)
    thought = message.get("reasoning_content")
    if thought and "reasoning_content" in source:
        rewritten["reasoning_content"] = hide(thought)
    elif thought and '"thinking" in message' in source and not text:
        rewritten["thinking"] = hide(thought)  # gpt-oss's template refuses it beside words
    calls = message.get("tool_calls")
    if legacy := message.get("function_call"):
        calls = [{"id": "", "function": legacy}]
    if calls:
        _put_calls(rewritten, calls, source, hide)
    if role in ("tool", "function"):
        _put_result(rewritten, message, source, hide)
    return rewritten


def _text(message: Mapping[str, Any], hide: Hide) -> str:
    """A message's content as one string; a refusal is what the assistant said."""
    content = message.get("content")
    if content is None:
        return hide(message.get("refusal") or "")
    if isinstance(content, str):
        return hide(content)
    texts = (part["refusal" if part["type"] == "refusal" else "text"] for part in content)
    return "\n".join(map(hide, texts))


def _put_calls(rewritten: Message, calls: list[Message], source: str, hide: Hide) -> None:
    """Past tool calls, as the template's own or else as tagged JSON in the text."""
    functions = [
        {"name": call["function"]["name"], "arguments": _arguments(call["function"]["arguments"])}
        for call in calls
    ]
    if "tool_calls" in source:
        rewritten["tool_calls"] = [
            {
                "type": "function",
                "id": _call_id(call, source, hide),
                "function": hide(function),
            }
            for call, function in zip(calls, functions, strict=True)
        ]
        return
    written = [
        f"<tool_call>\n{json.dumps(function, ensure_ascii=False)}\n</tool_call>"
        for function in functions
    ]
    rewritten["content"] = "\n".join(filter(None, [rewritten["content"], *map(hide, written)]))


def _put_result(rewritten: Message, message: Mapping[str, Any], source: str, hide: Hide) -> None:
    """A tool's answer, as the template's own or else as tagged text of the user's turn."""
    if "'tool'" in source or '"tool"' in source:
        rewritten["role"] = "tool"
        if "tool_call_id" in message:
            rewritten["tool_call_id"] = _call_id({"id": message["tool_call_id"]}, source, hide)
    else:
        rewritten["role"] = "user"
        rewritten["content"] = f"<tool_response>\n{rewritten['content']}\n</tool_response>"


def _call_id(call: Message, source: str, hide: Hide) -> str:
    """A call's id, cut to nine letters and digits for a template that counts them."""
    if not _NINE.search(source):
        return hide(call["id"])
    return "".join(filter(str.isalnum, call["id"]))[-9:].rjust(9, "0")


def _arguments(text: str) -> Any:
    """A call's arguments as templates expect them, an object; text that is none stays text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict) else text
