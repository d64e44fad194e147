"""How models write tool calls: the text around the name and the arguments of each call."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from minikin import marks
from minikin.chat import bare, elements, keywords

_TOOLS = re.compile(r"\b(xml_)?tools\b")
"""The variables with tools in chat templates. SmolLM3's uses `xml_tools`."""


class CallFormat(msgspec.Struct, frozen=True, kw_only=True):
    """The format of calls: begin, CALL, then again, CALL for each further call, then close.

    Each CALL is before_name, NAME, before_arguments, ARGUMENTS, end. Parts that are one token of
    the vocabulary (`Tokenizer.frame_marks`) are read and written as that token.
    """

    opener: str = ""
    """An optional text right before `begin`, without a meaning of its own."""
    begin: str
    """The text that never occurs in content. A call starts here."""
    before_name: str
    before_arguments: str
    """If it is empty, the name ends before the first character that names do not have."""
    end: str
    again: str
    """The text before each further call. Formats without one use a line break and `begin`."""
    close: str = ""
    """The text after the last call."""
    native: bool = True
    """Whether the chat template describes the tools. If not, `tools.py` describes them."""

    elements: marks.Elements | None = None
    """The marks around each argument, if they are elements (see `elements.py`)."""
    keywords: bool = False
    """Whether arguments are written as in Python (see `keywords.py`). Otherwise, if they are not
    elements, they are a JSON object."""
    bare: bool = False
    """Whether the names in that object have no quotes (see `bare.py`)."""

    def write(self, calls: Iterable[Mapping[str, Any]], hide: Callable[[str], str] = str) -> str:
        """Calls as the model writes them. `hide` is applied to their names and arguments.

        Each has a `name` and `arguments`: an object, or text that is not an object.
        """
        written = [
            f"{self.before_name}{hide(call['name'])}{self.before_arguments}"
            f"{self._arguments(call['arguments'], hide)}{self.end}"
            for call in calls
        ]
        return f"{self.begin}{self.again.join(written)}{self.close}"

    def _arguments(self, arguments: Any, hide: Callable[[str], str]) -> str:
        if self.elements and isinstance(arguments, dict):
            return elements.written(arguments, self.elements, hide)
        if self.keywords and keywords.are_keywords(arguments):
            return keywords.written(arguments, hide)
        if self.bare and isinstance(arguments, dict):
            return bare.written(arguments, hide)
        return hide(_json(arguments))


def _json(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


def _list(begin: str, close: str) -> CallFormat:
    """A JSON list of all calls, in the usual keys."""
    return CallFormat(
        begin=begin,
        before_name='{"name": "',
        before_arguments='", "arguments": ',
        end="}",
        again=", ",
        close=close,
    )


TAGGED = CallFormat(
    begin=marks.TOOL_CALL,
    before_name='\n{"name": "',
    before_arguments='", "arguments": ',
    end=f"}}\n{marks.TOOL_CALL_END}",
    again=f"\n{marks.TOOL_CALL}",
    native=False,
)
"""Hermes, Qwen, SmolLM3. Also for models without a format of their own (Gemma)."""

TAGGED_IN_LINE = CallFormat(
    begin=marks.TOOL_CALL,
    before_name='{"name": "',
    before_arguments='", "arguments": ',
    end=f"}}{marks.TOOL_CALL_END}",
    again=f"\n{marks.TOOL_CALL}",
)
"""EXAONE 4: the same without line breaks."""

ELEMENTS = CallFormat(
    begin=marks.TOOL_CALL,
    before_name=f"\n{marks.FUNCTION}",
    before_arguments=">\n",
    end=f"{marks.FUNCTION_END}\n{marks.TOOL_CALL_END}",
    again=f"\n{marks.TOOL_CALL}",
    elements=marks.PARAMETER,
)
"""Qwen3-Coder, Qwen3.5, Nemotron 3, Step."""

SEED = CallFormat(
    begin=marks.SEED_CALL,
    before_name=f"\n{marks.FUNCTION}",
    before_arguments=">\n",
    end=f"{marks.FUNCTION_END}\n{marks.SEED_CALL_END}",
    again=f"\n{marks.SEED_CALL}",
    elements=marks.SEED_PARAMETER,
)
"""Seed-OSS."""

MINIMAX = CallFormat(
    begin=f"{marks.MINIMAX_CALL}\n",
    before_name=marks.INVOKE,
    before_arguments='">\n',
    end=f"{marks.INVOKE_END}\n",
    again="",
    close=marks.MINIMAX_CALL_END,
    elements=marks.MINIMAX_PARAMETER,
)
"""MiniMax-M2: the marks are around all calls."""

MINICPM = CallFormat(
    begin=marks.FUNCTION_NAME,
    before_name="",
    before_arguments='">',
    end=marks.FUNCTION_END,
    again=f"\n{marks.FUNCTION_NAME}",
    elements=marks.MINICPM_PARAMETER,
)
"""MiniCPM5."""

GLM = CallFormat(
    begin=marks.TOOL_CALL,
    before_name="",
    before_arguments="\n",
    end=marks.TOOL_CALL_END,
    again=f"\n{marks.TOOL_CALL}",
    elements=marks.GLM_PARAMETER,
)
"""GLM-4.5 and GLM-4.6."""

GLM_IN_LINE = CallFormat(
    begin=marks.TOOL_CALL,
    before_name="",
    before_arguments="",
    end=marks.TOOL_CALL_END,
    again=marks.TOOL_CALL,
    elements=marks.GLM_IN_LINE_PARAMETER,
)
"""GLM-4.7: the same without line breaks."""

LFM2 = CallFormat(
    begin=f"{marks.LFM_CALLS}[",
    before_name="",
    before_arguments="(",
    end=")",
    again=", ",
    close=f"]{marks.LFM_CALLS_END}",
    keywords=True,
)
"""LFM2: one list of all calls, as in Python."""

OLMO = CallFormat(
    begin=marks.FUNCTION_CALLS,
    before_name="",
    before_arguments="(",
    end=")",
    again="\n",
    close=marks.FUNCTION_CALLS_END,
    keywords=True,
)
"""OLMo 3: a call in each line."""

GEMMA = CallFormat(
    begin=f"{marks.GEMMA_CALL}call:",
    before_name="",
    before_arguments="",
    end=marks.GEMMA_CALL_END,
    again=f"{marks.GEMMA_CALL}call:",
    bare=True,
)
"""Gemma 4."""

LISTED = _list(f"{marks.TAGGED_LIST}[", f"]{marks.TAGGED_LIST_END}")
"""Apriel: one list of all calls."""

FALCON = CallFormat(
    begin=f"{marks.TOOL_CALL}\n[",
    before_name='\n  {"name": "',
    before_arguments='", "arguments": ',
    end="}",
    again=",",
    close=f"\n]\n{marks.TOOL_CALL_END}",
)
"""Falcon 3, Falcon-H1: one list of all calls, one in each line."""

TOOLCALL = _list(f"{marks.TOOLCALL}[", f"]{marks.TOOLCALL_END}")
"""Nemotron Nano: one list of all calls."""

GRANITE = _list(f"{marks.PHI_CALL}[", "]")
"""Granite 3: one list of all calls, without a mark at its end."""

LLAMA = CallFormat(
    opener=marks.PYTHON_TAG,
    begin='{"name": "',
    before_name="",
    before_arguments='", "parameters": ',
    end="}",
    again='\n{"name": "',
)
"""Llama 3.1 and later: bare JSON."""

MISTRAL = _list(f"{marks.TOOL_CALLS} [", "]")
"""Mistral's instruct models since 7B v0.3: one list of all calls."""

HARMONY = CallFormat(
    begin=f"{marks.CHANNEL}commentary to=functions.",
    before_name="",
    before_arguments=f" {marks.CONSTRAIN}json{marks.MESSAGE}",
    end="",
    again=f"{marks.CHANNEL}commentary to=functions.",
    close="",
    native=True,
)
"""gpt-oss. `harmony.py` converts its other ways to write a header into this one."""
MISTRAL_NAMED = CallFormat(
    begin=marks.TOOL_CALLS,
    before_name="",
    before_arguments=marks.ARGS,
    end="",
    again=marks.TOOL_CALLS,
)
"""Mistral's models of 2025: Small 3.2, Devstral, Magistral."""

PHI = _list(f"{marks.PHI_CALL}[", f"]{marks.PHI_CALL_END}")
"""Phi-4-mini: one list of all calls."""

PHI_SINGLE = CallFormat(
    begin=marks.PHI_CALL,
    before_name='{"name": "',
    before_arguments='", "arguments": ',
    end=f"}}{marks.PHI_CALL_END}",
    again=marks.PHI_CALL,
)
"""Phi-4-mini with templates from its community: each call separately."""

DEEPSEEK = CallFormat(
    begin=f"{marks.DEEPSEEK_CALLS}{marks.DEEPSEEK_CALL}function{marks.DEEPSEEK_SEPARATOR}",
    before_name="",
    before_arguments="\n```json\n",
    end=f"\n```{marks.DEEPSEEK_CALL_END}",
    again=f"\n{marks.DEEPSEEK_CALL}function{marks.DEEPSEEK_SEPARATOR}",
    close=marks.DEEPSEEK_CALLS_END,
    native=False,
)
"""DeepSeek-R1 and its distillations. Their templates write calls, but do not describe tools."""


_OTHER_TAGS = re.compile("<function|<arg_key>|<parameter|<invoke|<param")
"""What GLM, MiniMax and others write between <tool_call> and </tool_call>."""
_BY_SIGN = {
    LISTED: re.compile(r"<tool_calls>\["),
    TOOLCALL: re.compile(r"<TOOLCALL>\["),
    GRANITE: re.compile(r"<\|tool_call\|> followed by a JSON list"),
    SEED: re.compile(marks.SEED_CALL),
    MINIMAX: re.compile(marks.MINIMAX_CALL),
    MINICPM: re.compile(f"{marks.FUNCTION_NAME}[^\n]*{marks.MINICPM_PARAMETER.begin}"),
    GLM: re.compile(rf"{marks.KEY_END}(\n|\\n){marks.VALUE}"),
    GLM_IN_LINE: re.compile(f"{marks.KEY_END}{marks.VALUE}"),
    LFM2: re.compile(r"<\|tool_(list|call)_start\|>|List of tools: "),
    OLMO: re.compile(marks.FUNCTION_CALLS),
    GEMMA: re.compile(re.escape(GEMMA.begin)),
    FALCON: re.compile(rf"{marks.TOOL_CALL}(\n|\\n)\[(\n|\\n)"),
    TAGGED_IN_LINE: re.compile(r"""<tool_call>\{\s*\\?["']name"""),
    msgspec.structs.replace(TAGGED, native=True): re.compile(
        r"""<tool_call>[^<>]{0,80}\{\s*\\?["']name"""
    ),
}
"""How templates describe calls or write them. A mark alone can belong to several formats."""


def format_of(template: str) -> CallFormat:
    """The format of a model with this chat template, found in the text of the template."""
    if marks.CHANNEL in template and marks.MESSAGE in template:
        return HARMONY
    if marks.DEEPSEEK_CALLS in template and "```json" in template:
        return DEEPSEEK
    if not _TOOLS.search(template):
        return TAGGED
    if marks.TOOL_CALLS in template:
        if marks.ARGS in template:
            return MISTRAL_NAMED
        begin = MISTRAL.begin if MISTRAL.begin in template else f"{marks.TOOL_CALLS}["
        return msgspec.structs.replace(MISTRAL, begin=begin)
    if "<|tool|>" in template:
        alone = marks.PHI_CALL in template and PHI.begin not in template
        return PHI_SINGLE if alone else PHI
    if "ipython" in template and '"parameters"' in template:
        return LLAMA
    if all(mark in template for mark in (marks.TOOL_CALL, marks.FUNCTION, marks.PARAMETER.begin)):
        return ELEMENTS
    for form, sign in _BY_SIGN.items():
        if sign.search(template):
            return form
    tagged = marks.TOOL_CALL in template and not _OTHER_TAGS.search(template)
    return msgspec.structs.replace(TAGGED, native=tagged)
