"""The marks that models write around tool calls, reasoning and channels, as one token or text.

Three rooms use them: `chat` reads answers, `constrain` restricts them, `tokenizer` keeps these
tokens visible.
"""

from __future__ import annotations

import msgspec

# Tool calls. Hermes, Qwen, SmolLM3:
TOOL_CALL, TOOL_CALL_END = "<tool_call>", "</tool_call>"
# Mistral:
TOOL_CALLS, ARGS = "[TOOL_CALLS]", "[ARGS]"
# Phi-4-mini:
PHI_CALL, PHI_CALL_END = "<|tool_call|>", "<|/tool_call|>"
# Apriel; Nemotron Nano:
TAGGED_LIST, TAGGED_LIST_END = "<tool_calls>", "</tool_calls>"
TOOLCALL, TOOLCALL_END = "<TOOLCALL>", "</TOOLCALL>"
# DeepSeek:
DEEPSEEK_CALLS, DEEPSEEK_CALLS_END = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"
DEEPSEEK_CALL, DEEPSEEK_CALL_END = "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>"
DEEPSEEK_SEPARATOR = "<｜tool▁sep｜>"
# Qwen3-Coder, Qwen3.5, Nemotron 3, Step, Seed-OSS. NAME and ">" follow the first one:
FUNCTION, FUNCTION_END = "<function=", "</function>"
SEED_CALL, SEED_CALL_END = "<seed:tool_call>", "</seed:tool_call>"
# MiniMax:
MINIMAX_CALL, MINIMAX_CALL_END = "<minimax:tool_call>", "</minimax:tool_call>"
INVOKE, INVOKE_END = '<invoke name="', "</invoke>"
# MiniCPM5. NAME follows the first one:
FUNCTION_NAME = '<function name="'
CDATA, CDATA_END = "<![CDATA[", "]]>"
# GLM, within TOOL_CALL:
KEY, KEY_END, VALUE, VALUE_END = "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"
# LFM2:
LFM_CALLS, LFM_CALLS_END = "<|tool_call_start|>", "<|tool_call_end|>"
# OLMo 3:
FUNCTION_CALLS, FUNCTION_CALLS_END = "<function_calls>", "</function_calls>"
# Gemma 4. "call:", NAME and an object follow the first one:
GEMMA_CALL, GEMMA_CALL_END, GEMMA_QUOTE = "<|tool_call>", "<tool_call|>", '<|"|>'


class Elements(msgspec.Struct, frozen=True):
    """The texts around an argument that is an element: begin, NAME, name_end, VALUE, value_end."""

    begin: str
    name_end: str
    value_end: str
    has_cdata: bool = False
    """Whether a text with "<", "&" or a line break is between CDATA and CDATA_END."""


PARAMETER = Elements("<parameter=", ">\n", "\n</parameter>\n")
"""Qwen3-Coder, Qwen3.5, Nemotron 3, Step."""
SEED_PARAMETER = Elements("<parameter=", ">", "</parameter>\n")
MINIMAX_PARAMETER = Elements('<parameter name="', '">', "</parameter>\n")
MINICPM_PARAMETER = Elements('<param name="', '">', "</param>", has_cdata=True)
GLM_PARAMETER = Elements(KEY, f"{KEY_END}\n{VALUE}", f"{VALUE_END}\n")
GLM_IN_LINE_PARAMETER = Elements(KEY, f"{KEY_END}{VALUE}", VALUE_END)

CALL_MARKS = (
    TOOL_CALL,
    TOOL_CALL_END,
    TOOL_CALLS,
    ARGS,
    PHI_CALL,
    PHI_CALL_END,
    TAGGED_LIST,
    TAGGED_LIST_END,
    TOOLCALL,
    TOOLCALL_END,
    DEEPSEEK_CALLS,
    DEEPSEEK_CALLS_END,
    DEEPSEEK_CALL,
    DEEPSEEK_CALL_END,
    DEEPSEEK_SEPARATOR,
    FUNCTION_END,
    SEED_CALL,
    SEED_CALL_END,
    MINIMAX_CALL,
    MINIMAX_CALL_END,
    INVOKE_END,
    "<function",
    "<param",
    "</param>",
    CDATA,
    CDATA_END,
    KEY,
    KEY_END,
    VALUE,
    VALUE_END,
    LFM_CALLS,
    LFM_CALLS_END,
    FUNCTION_CALLS,
    FUNCTION_CALLS_END,
    GEMMA_CALL,
    GEMMA_CALL_END,
    GEMMA_QUOTE,
)
"""The marks around tool calls."""

PYTHON_TAG = "<|python_tag|>"
"""An optional mark of Llama right before a call."""

THINK_BEGIN, THINK_END = "<think>", "</think>"
"""Qwen3, DeepSeek-R1 distillations, SmolLM3."""
MISTRAL_THINK_BEGIN, MISTRAL_THINK_END = "[THINK]", "[/THINK]"
"""Magistral."""
SEED_THINK_BEGIN, SEED_THINK_END = "<seed:think>", "</seed:think>"
"""Seed-OSS."""
GEMMA_CHANNEL, GEMMA_THINK_END = "<|channel>", "<channel|>"
GEMMA_THINK_BEGIN = f"{GEMMA_CHANNEL}thought"
"""Gemma 4."""

THOUGHT_MARKS = (
    THINK_BEGIN, THINK_END, MISTRAL_THINK_BEGIN, MISTRAL_THINK_END, SEED_THINK_BEGIN,
    SEED_THINK_END, GEMMA_CHANNEL, GEMMA_THINK_END,
)  # fmt: skip
"""The marks around reasoning."""

START, END, MESSAGE = "<|start|>", "<|end|>", "<|message|>"
CHANNEL, CONSTRAIN = "<|channel|>", "<|constrain|>"
FINAL = f"{CHANNEL}final{MESSAGE}"
"""The header of gpt-oss's content."""

CHANNEL_MARKS = (START, END, MESSAGE, CHANNEL, CONSTRAIN)
"""The marks around gpt-oss's messages. A vocabulary has all of them or none."""
