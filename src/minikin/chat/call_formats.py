"""How models write tool calls: what stands around the name and the arguments of each."""

from __future__ import annotations

import msgspec


class CallFormat(msgspec.Struct, frozen=True):
    """What calls are written in: begin, CALL, and again, CALL for each further one, then close.

    Each CALL is before_name, NAME, before_arguments, ARGUMENTS, end.
    """

    begin: str
    """What no answer in words holds: from here on it is a call."""
    before_name: str
    before_arguments: str
    end: str
    again: str
    """Before each further call; formats that know none have a line break and `begin`."""
    close: str
    """After the last call."""
    native: bool
    """Whether the chat template tells the model of the tools; else `tools.py` does."""


TAGGED = CallFormat(
    begin="<tool_call>",
    before_name='\n{"name": "',
    before_arguments='", "arguments": ',
    end="}\n</tool_call>",
    again="\n<tool_call>",
    close="",
    native=False,
)
"""For models trained on no format of their own; the same as Hermes' and Qwen's."""

LLAMA = CallFormat(
    begin='{"name": "',
    before_name="",
    before_arguments='", "parameters": ',
    end="}",
    again='\n{"name": "',
    close="",
    native=True,
)
"""Llama 3.1 and later: bare JSON."""

MISTRAL = CallFormat(
    begin="[TOOL_CALLS] [",
    before_name='{"name": "',
    before_arguments='", "arguments": ',
    end="}",
    again=", ",
    close="]",
    native=True,
)
"""Mistral's instruct models from 7B v0.3 on: one list of all calls."""

HARMONY = CallFormat(
    begin="<|channel|>commentary to=functions.",
    before_name="",
    before_arguments=" <|constrain|>json<|message|>",
    end="",
    again="<|channel|>commentary to=functions.",
    close="",
    native=True,
)
"""gpt-oss; see `harmony.py`, which brings its ways to write a header into this one."""


def format_of(template: str) -> CallFormat:
    """The format that a model with this chat template has learned, told by the template's text."""
    if "tools" in template and "<tool_call>" in template and "<function=" not in template:
        return msgspec.structs.replace(TAGGED, native=True)
    if "tools" in template and "ipython" in template and '"parameters"' in template:
        return LLAMA
    if "<|channel|>" in template and "<|message|>" in template:
        return HARMONY
    if "tools" in template and "[TOOL_CALLS]" in template and "[ARGS]" not in template:
        begin = MISTRAL.begin if MISTRAL.begin in template else "[TOOL_CALLS]["
        return msgspec.structs.replace(MISTRAL, begin=begin)
    return TAGGED
