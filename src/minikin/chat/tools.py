"""Describes tools in the prompt if the chat template does not, or not in the usual place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from minikin.chat.call_formats import CallFormat
from minikin.chat.messages import Message

_MUST_CALL = """\
You can call these functions, described in JSON:
{tools}

To call a function, write its name and its arguments like this:
{example}

Answer with a function call and nothing else."""
_MAY_CALL = """\
You are an expert in composing functions. You are given a question and a set of possible \
functions. Based on the question, you will need to make one or more function/tool calls to achieve \
the purpose. If none of the functions can be used, answer in plain words.

You have access to the following tools:
<tools>{tools}</tools>

A call MUST strictly adhere to the following format:
{example}"""
"""After the card of SmolLM2-1.7B-Instruct. docs/performance.md compares the wordings."""


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
    return (_MUST_CALL if must else _MAY_CALL).format(tools=listed, example=example)
