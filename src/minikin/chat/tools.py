"""Tells a model of its tools in plain text, where its chat template can't."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from minikin.chat.call_formats import CallFormat


def with_tools(
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[dict[str, Any]],
    form: CallFormat,
    *,
    must: bool,
) -> list[Mapping[str, Any]]:
    """`messages` with a system text that tells of `tools`, and whether one must be called."""
    text = _instructions(tools, form, must=must)
    if not messages or messages[0]["role"] not in ("system", "developer"):
        return [{"role": "system", "content": text}, *messages]
    first, *rest = messages
    content = first["content"]
    if isinstance(content, str):
        joined: Any = f"{content}\n\n{text}"
    else:
        joined = [*content, {"type": "text", "text": text}]
    return [{**first, "content": joined}, *rest]


def _instructions(tools: Sequence[dict[str, Any]], form: CallFormat, *, must: bool) -> str:
    listed = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    example = (
        f'{form.begin}{form.before_name}function-name{form.before_arguments}{{"argument": "value"}}'
        f"{form.end}{form.close}"
    )
    duty = (
        "Answer with a function call and nothing else."
        if must
        else "Call a function if it helps to answer; otherwise answer in plain words."
    )
    return (
        f"You can call these functions, described in JSON:\n{listed}\n\n"
        f"To call a function, write its name and its arguments like this:\n{example}\n\n{duty}"
    )
