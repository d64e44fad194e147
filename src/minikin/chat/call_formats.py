"""How models write tool calls: what stands around the name and the arguments of each."""

from __future__ import annotations

import msgspec


class CallFormat(msgspec.Struct, frozen=True):
    """What a call is written in: begin, before_name, NAME, before_arguments, ARGUMENTS, end."""

    begin: str
    """What no answer in words holds: from here on it is a call."""
    before_name: str
    before_arguments: str
    end: str
    separator: str
    """Between two calls; the formats that know no second one have the models' own line break."""
    native: bool
    """Whether the chat template tells the model of the tools; else `tools.py` does."""


TAGGED = CallFormat(
    begin="<tool_call>",
    before_name='\n{"name": "',
    before_arguments='", "arguments": ',
    end="}\n</tool_call>",
    separator="\n",
    native=False,
)
"""For models trained on no format of their own; the same as Hermes' and Qwen's."""

LLAMA = CallFormat(
    begin='{"name": "',
    before_name="",
    before_arguments='", "parameters": ',
    end="}",
    separator="\n",
    native=True,
)
"""Llama 3.1 and later: bare JSON."""


def format_of(template: str) -> CallFormat:
    """The format that a model with this chat template has learned, told by the template's text."""
    if "tools" in template and "<tool_call>" in template and "<function=" not in template:
        return msgspec.structs.replace(TAGGED, native=True)
    if "tools" in template and "ipython" in template and '"parameters"' in template:
        return LLAMA
    return TAGGED
