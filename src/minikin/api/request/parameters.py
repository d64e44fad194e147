"""Every parameter of a chat completion request: its rule and its effect.

Requests are checked against this table, in its order. docs/compatibility.md and the OpenAPI
document are generated from it. To add a parameter, add an entry: it says where the value goes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from msgspec.structs import replace

from minikin.api.request import conversions, faults
from minikin.api.request.answer_request import ReasoningEffort
from minikin.api.request.destinations import (
    DefaultOf,
    NoEffect,
    Rejected,
    Request,
    Sampling,
    Setting,
)
from minikin.api.request.message_rules import (
    FUNCTION_CALL,
    FUNCTIONS,
    MESSAGES,
    NAME,
    TOOL_CHOICE,
    TOOLS,
)
from minikin.api.request.parameter import Parameter, ParameterTable
from minikin.api.request.parameter_rules import MAX_BIAS, LogitBias, Metadata, Modalities, Verbosity
from minikin.api.request.rules import (
    Array,
    Boolean,
    Decimal,
    Either,
    FreeForm,
    Integer,
    Nullable,
    Object,
    OneOf,
    Property,
    Tagged,
    Text,
)
from minikin.config import MAX_CHOICES, MAX_TEMPERATURE

MAX_OUTPUT_TOKENS = 32_768
"""The maximum number of tokens in one answer of gpt-4.1-mini."""
ORIGINAL_WINDOW = 1_047_576
"""Its context length, in tokens."""
MAX_STOP_CHARS = 65_536
MAX_STOPS = 4


def _fields(**rules: Any) -> dict[str, Property]:
    return {name: Property(rule) for name, rule in rules.items()}


def _needed(**rules: Any) -> dict[str, Property]:
    return {name: Property(rule, required=True) for name, rule in rules.items()}


_STOPS = Text(max_length=MAX_STOP_CHARS, min_length=1)
_STOP = Either(
    "one of a string or array of strings",
    {str: _STOPS, list: Array(_STOPS, "an array of strings", MAX_STOPS)},
)
_STREAM_OPTIONS = Object(_fields(include_usage=Boolean(), include_obfuscation=Boolean()))
_AUDIO_FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm16")
_AUDIO = Object(_needed(format=OneOf(_AUDIO_FORMATS), voice=Text(max_length=64)))
_JSON_SCHEMA = Object(
    _needed(name=NAME)
    | _fields(description=Text())
    | _needed(schema=FreeForm())
    | _fields(strict=Nullable(Boolean()))
)
_RESPONSE_FORMAT = Tagged(
    "type",
    {
        "json_object": Object(_needed(type=OneOf(("json_object",)))),
        "json_schema": Object(_needed(type=OneOf(("json_schema",)), json_schema=_JSON_SCHEMA)),
        "text": Object(_needed(type=OneOf(("text",)))),
    },
)
_TEXT_PART = Object(_needed(type=OneOf(("text",)), text=Text()))
_PREDICTED = Either(
    "one of a string or array of objects",
    {str: Text(), list: Array(_TEXT_PART, "an array of objects", 1024, min_length=1)},
)
_PREDICTION = Object(_needed(type=OneOf(("content",)), content=_PREDICTED))
_TIERS = OneOf(("auto", "default", "flex", "scale", "priority", "fast"))
_IDENTIFIER = Text(max_length=1024)
_NO_EFFECT = "accepted; does not change the answer"
CACHE_KEY = "among several servers, the same one gets requests with the same key (`scale-out.md`)"
_CACHED = "accepted; the server alone decides what it caches, and for how long"
_LIMIT = (
    "without a limit, OpenAI continues to the model's maximum; a limit up to OpenAI's "
    f"{MAX_OUTPUT_TOKENS:,} that "
    "does not fit the window is cut to it"
)

_OWN_DEFAULT = "OpenAI's default is always 1, as here with `--sampling openai`"

PARAMETERS = (
    Parameter(
        "messages",
        MESSAGES,
        (Request("messages"),),
        "required",
        "the conversation, rendered by the chat template",
    ),
    Parameter(
        "stop",
        Nullable(_STOP),
        (Sampling("stop", conversions.stops),),
        "null",
        f"up to {MAX_STOPS} texts; the answer ends before the first one",
    ),
    Parameter(
        "modalities", Nullable(Modalities()), (NoEffect(),), '`["text"]`', "text; audio is rejected"
    ),
    Parameter(
        "logprobs",
        Nullable(Boolean()),
        (DefaultOf("top_logprobs", conversions.no_alternatives),),
        "false",
        "log probabilities of each token",
    ),
    Parameter(
        "stream_options",
        Nullable(_STREAM_OPTIONS),
        (
            Request("include_usage", conversions.usage_wanted),
            Request("include_obfuscation", conversions.padding_wanted),
        ),
        "null",
        "`include_usage` adds a last chunk with the usage; `include_obfuscation: false` removes "
        "the random padding",
    ),
    Parameter("stream", Nullable(Boolean()), (Request("stream"),), "false", "server-sent events"),
    Parameter(
        "temperature",
        Nullable(Decimal(0, MAX_TEMPERATURE)),
        (Sampling("temperature"), Setting("temperature", 1.0)),
        "the model's own, or 1",
        "0 selects the most likely token",
        _OWN_DEFAULT,
    ),
    Parameter(
        "top_p",
        Nullable(Decimal(0, 1)),
        (Sampling("top_p"), Setting("top_p", 1.0)),
        "the model's own, or 1",
        "nucleus sampling",
        _OWN_DEFAULT,
    ),
    Parameter(
        "frequency_penalty",
        Nullable(Decimal(-2, 2)),
        (Sampling("frequency_penalty"), Setting("frequency_penalty", 0.0)),
        "0",
        "counts only the tokens of this answer",
    ),
    Parameter(
        "presence_penalty",
        Nullable(Decimal(-2, 2)),
        (Sampling("presence_penalty"), Setting("presence_penalty", 0.0)),
        "0",
        "counts only the tokens of this answer",
    ),
    Parameter(
        "max_completion_tokens",
        Nullable(Integer(1)),
        (Request("max_tokens"),),
        "the server's `default_max_tokens`",
        "the maximum number of tokens to generate",
        _LIMIT,
    ),
    Parameter(
        "max_tokens",
        Nullable(Integer(1)),
        (DefaultOf("max_completion_tokens"),),
        "the server's `default_max_tokens`",
        "the older name of `max_completion_tokens`",
        _LIMIT,
    ),
    Parameter(
        "n",
        Nullable(Integer(1, MAX_CHOICES)),
        (Request("n"),),
        "1",
        "the number of answers to the prompt",
    ),
    Parameter(
        "seed",
        Nullable(Integer(-(2**63), 2**63 - 1)),
        (Sampling("seed"), Setting("seed")),
        "null",
        "the same request and seed give the same answer, beside any other requests",
        "to the last digit where native kernels compute whole layers; best effort at OpenAI",
    ),
    Parameter(
        "logit_bias",
        Nullable(LogitBias()),
        (Sampling("logit_bias", conversions.biases),),
        "null",
        f"added to the tokens' logits; {MAX_BIAS} forces, -{MAX_BIAS} bans",
        "the ids are those of the local model's tokenizer: see `POST /tokenize`",
    ),
    Parameter(
        "top_logprobs",
        Nullable(Integer(0, 20)),
        (Sampling("top_logprobs"),),
        "0",
        "the number of alternatives for each token",
    ),
    Parameter(
        "response_format",
        Nullable(_RESPONSE_FORMAT),
        (Request("response_format"), Setting("response_format")),
        "`text`",
        "`text`, `json_object` and `json_schema`: the answer always matches, unless it is cut off; "
        "the schema is described to the model",
        "a schema without `strict` is followed too; an unsupported keyword is rejected by name",
    ),
    Parameter(
        "tools",
        Nullable(TOOLS),
        (Request("tools"), Setting("tools")),
        "null",
        "functions that the model can call; the arguments match their schema",
        "also without `strict`, except for keywords that the server cannot enforce; `[]`, which "
        "OpenAI rejects, means no tools",
    ),
    Parameter(
        "tool_choice",
        Nullable(TOOL_CHOICE),
        (Request("tool_choice"), Setting("tool_choice")),
        "`auto` with tools",
        "needs `tools`",
    ),
    Parameter(
        "parallel_tool_calls", Boolean(), (Request("parallel_tool_calls"),), "true", "needs `tools`"
    ),
    Parameter(
        "functions",
        Nullable(FUNCTIONS),
        (
            DefaultOf("tools", conversions.tools_of_functions),
            DefaultOf("parallel_tool_calls", conversions.one_call),
            Request("legacy_calls", bool),
        ),
        "null",
        "the older form of `tools`: one call an answer, in `function_call`",
    ),
    Parameter(
        "function_call",
        Nullable(FUNCTION_CALL),
        (DefaultOf("tool_choice", conversions.tool_choice_of_function_call),),
        "`auto` with functions",
        "the older form of `tool_choice`; needs `functions`",
    ),
    Parameter(
        "prediction",
        Nullable(_PREDICTION),
        (Request("prediction", conversions.predicted_text),),
        "null",
        "checked many tokens at a time; changes the speed of the answer, never its text",
        "the usage counts rejected prediction tokens that were checked, also as completion tokens",
    ),
    Parameter(
        "store",
        Nullable(Boolean()),
        (Request("store"),),
        "false",
        "keeps the answer for later retrieval",
    ),
    Parameter(
        "metadata", Nullable(Metadata()), (Request("metadata"),), "null", "stored with the answer"
    ),
    Parameter("user", Nullable(_IDENTIFIER), (Setting("input_user"),), "null", _NO_EFFECT),
    Parameter(
        "safety_identifier",
        Nullable(_IDENTIFIER),
        (NoEffect(),),
        "null",
        _NO_EFFECT,
    ),
    Parameter(
        "prompt_cache_key",
        Nullable(_IDENTIFIER),
        (Request("cache_key"),),
        "null",
        CACHE_KEY,
    ),
    Parameter(
        "prompt_cache_retention",
        Nullable(OneOf(("in_memory", "24h"))),
        (NoEffect(),),
        "null",
        _CACHED,
    ),
    Parameter("prompt_cache_options", Nullable(FreeForm()), (NoEffect(),), "null", _CACHED),
    Parameter(
        "service_tier",
        Nullable(_TIERS),
        (NoEffect(),),
        "`auto`",
        "accepted; the answer contains `default`",
        "there is one tier",
    ),
    Parameter(
        "audio",
        Nullable(_AUDIO),
        (NoEffect(),),
        "null",
        "checked; has no effect without audio output",
    ),
    Parameter(
        "verbosity", Nullable(Verbosity()), (NoEffect(),), "`medium`", "only `medium`, as at OpenAI"
    ),
    Parameter(
        "moderation",
        Nullable(FreeForm()),
        (Rejected(),),
        "null",
        "rejected with `unsupported_parameter`",
    ),
    Parameter(
        "web_search_options",
        Nullable(FreeForm()),
        (Rejected(faults.no_web_search),),
        "null",
        "rejected, as by OpenAI",
    ),
)
EXTENSIONS = (
    Parameter(
        "top_k",
        Nullable(Integer(1, 2**31 - 1)),
        (Sampling("top_k"),),
        "the model's own, or null",
        "samples from that many most likely tokens; null: all",
    ),
    Parameter(
        "min_p",
        Nullable(Decimal(0, 1)),
        (Sampling("min_p"),),
        "the model's own, or 0",
        "samples from tokens with at least this probability, relative to the most likely one",
    ),
    Parameter(
        "repetition_penalty",
        Nullable(Decimal(0.1, 10)),
        (Sampling("repetition_penalty"),),
        "the model's own, or 1",
        "divides positive logits and multiplies negative logits of tokens that are in the prompt "
        "or the answer so far",
    ),
    Parameter(
        "reasoning_effort",
        Nullable(OneOf(get_args(ReasoningEffort))),
        (Request("reasoning_effort"),),
        "the model's own",
        "`none` turns reasoning off, every other value turns it on; gpt-oss accepts `low`, "
        "`medium` and `high`; rejected for models whose chat template has no such setting",
    ),
    Parameter(
        "continue_final_message",
        Nullable(Boolean()),
        (Request("continues"),),
        "false",
        "the answer continues the last message, an assistant's text, and contains only what "
        "follows; not with `tools`, `functions` or a fixed `response_format`; rejected for models "
        "that answer in channels",
    ),
)
"""Parameters that OpenAI rejects as unrecognised. A server accepts them if it is set to."""

TABLE = ParameterTable(PARAMETERS, EXTENSIONS)


def of_sampling(*names: str) -> Iterator[Parameter]:
    """These parameters for another endpoint: only what they do to the sampling."""
    for parameter in TABLE.parameters:
        if parameter.name in names:
            sampling = tuple(to for to in parameter.goes_to if isinstance(to, Sampling))
            yield replace(parameter, goes_to=sampling)
