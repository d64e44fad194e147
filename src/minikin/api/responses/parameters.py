"""Every parameter of a response: its rule and its effect, in the order in which faults are found.

docs/compatibility.md and the OpenAPI document are generated from this table.
"""

from __future__ import annotations

from minikin.api.request import conversions
from minikin.api.request.destinations import NoEffect, Rejected, Request, Sampling, Setting
from minikin.api.request.parameter import Parameter, ParameterTable
from minikin.api.request.parameter_rules import Metadata
from minikin.api.request.parameters import CACHE_KEY, of_sampling
from minikin.api.request.rules import (
    Array,
    Boolean,
    Decimal,
    Either,
    FreeForm,
    Integer,
    Nullable,
    Object,
    Text,
)
from minikin.api.responses import normal_form
from minikin.api.responses.item_rules import INPUT
from minikin.api.responses.rules import (
    Effort,
    Identifier,
    alternatives,
    optional,
    required,
    word,
)
from minikin.api.responses.tool_rules import TEXT, TOOL_CHOICE, TOOLS
from minikin.config import MAX_TEMPERATURE

LEAST_TOKENS = 16
"""The smallest `max_output_tokens`."""
INCLUDABLE = (
    "file_search_call.results", "web_search_call.results", "web_search_call.action.sources",
    "message.input_image.image_url", "computer_call_output.output.image_url",
    "code_interpreter_call.outputs", "reasoning.encrypted_content", normal_form.LOGPROBS,
)  # fmt: skip


class _Includes(Array, frozen=True):
    def __str__(self) -> str:
        return f"an array of {self.item}"


_INCLUDE = _Includes(word(*INCLUDABLE), f"an array of one of {alternatives(INCLUDABLE)}", 64)
_REASONING = Object(
    optional(effort=Nullable(Effort()), summary=Nullable(word("concise", "detailed", "auto")))
)
_PROMPT = Object(
    required(id=Text(max_length=256))
    | optional(version=Nullable(Text()), variables=Nullable(FreeForm()))
)
_CONVERSATION = Either(
    "one of a string or object",
    {str: Identifier("conv"), dict: Object(required(id=Identifier("conv")))},
)
_CONTEXT_MANAGEMENT = Array(
    Object(required(type=word("compaction")) | optional(compact_threshold=Nullable(Integer(1000)))),
    "an array of objects",
    16,
)
_CACHE_OPTIONS = Object(optional(mode=word("implicit", "explicit"), ttl=word("30m", "12h")))
_IDENTIFIER = Text(max_length=1024)
_NO_EFFECT = "accepted and shown; does not change the answer"
_OWN_DEFAULT = (
    "without it, the model's own default applies, and the response shows OpenAI's default; "
    "`--sampling openai` makes both the same"
)

PARAMETERS = (
    Parameter(
        "moderation",
        Nullable(FreeForm()),
        (Rejected(),),
        "null",
        "rejected with `unsupported_parameter`",
    ),
    Parameter(
        "input",
        INPUT,
        (Request("input", normal_form.items),),
        "required",
        "a text, or items: messages, function calls and their outputs; reasoning of other models "
        "is skipped",
        "images, files and items of hosted tools are rejected",
    ),
    Parameter(
        "previous_response_id",
        Nullable(Identifier("resp")),
        (Request("previous_response_id"), Setting("previous_response_id")),
        "null",
        "continues a stored response; many responses can continue the same one",
    ),
    Parameter(
        "conversation",
        Nullable(_CONVERSATION),
        (Request("conversation", normal_form.conversation_id),),
        "null",
        "continues a conversation, and appends the input and the output to it",
    ),
    Parameter(
        "prompt",
        Nullable(_PROMPT),
        (Rejected(),),
        "null",
        "gets 404: this server has no stored prompts",
    ),
    Parameter(
        "include",
        Nullable(_INCLUDE),
        (Request("with_logprobs", normal_form.wants_logprobs),),
        "`[]`",
        f"`{normal_form.LOGPROBS}` adds log probabilities; `reasoning.encrypted_content` is "
        "rejected; the others have no effect without hosted tools",
    ),
    Parameter(
        "tools",
        Nullable(TOOLS),
        (
            Request("tools", normal_form.nested_tools),
            Request("custom_tools", normal_form.custom_names),
            Request("raw_tools", normal_form.raw_names),
            Setting("tools", [], normal_form.tools),
        ),
        "`[]`",
        "functions and custom tools that the model can call; hosted tools are rejected; without "
        "`strict`, the schema of a function is made strict if that is possible",
        "a call of a custom tool with a `lark` grammar is the last one of its answer",
    ),
    Parameter(
        "tool_choice",
        Nullable(TOOL_CHOICE),
        (Request("tool_choice", normal_form.nested_choice), Setting("tool_choice", "auto")),
        "`auto`",
        "`none`, `auto`, `required`, a function, or `allowed_tools`",
    ),
    Parameter(
        "metadata",
        Nullable(Metadata()),
        (Setting("metadata", {}),),
        "`{}`",
        "stored with the response",
    ),
    Parameter(
        "text",
        Nullable(TEXT),
        (
            Request("response_format", normal_form.nested_format),
            Setting("text", normal_form.text({}), normal_form.text),
        ),
        "`{}`",
        "`format`: `text`, `json_object` or `json_schema`, as `response_format` of chat "
        "completions; `verbosity`: only `medium`, as at OpenAI",
    ),
    Parameter(
        "temperature",
        Nullable(Decimal(0, MAX_TEMPERATURE)),
        (Sampling("temperature"), Setting("temperature", 1.0, float)),
        "the model's own, or 1",
        "0 selects the most likely token",
        _OWN_DEFAULT,
    ),
    Parameter(
        "top_p",
        Nullable(Decimal(0, 1)),
        (Sampling("top_p"), Setting("top_p", 1.0, float)),
        "the model's own, or 1",
        "nucleus sampling",
        _OWN_DEFAULT,
    ),
    Parameter(
        "presence_penalty",
        Nullable(Decimal(-2, 2)),
        (Sampling("presence_penalty"), Setting("presence_penalty", 0.0, float)),
        "0",
        "counts only the tokens of this answer",
    ),
    Parameter(
        "frequency_penalty",
        Nullable(Decimal(-2, 2)),
        (Sampling("frequency_penalty"), Setting("frequency_penalty", 0.0, float)),
        "0",
        "counts only the tokens of this answer",
    ),
    Parameter(
        "parallel_tool_calls",
        Nullable(Boolean()),
        (Request("parallel_tool_calls"), Setting("parallel_tool_calls", True)),
        "true",
        "whether one answer can have several calls",
        "without it, a model whose chat template has no tools makes one call",
    ),
    Parameter("stream", Nullable(Boolean()), (Request("stream"),), "false", "server-sent events"),
    Parameter(
        "stream_options",
        Nullable(Object(optional(include_obfuscation=Boolean()))),
        (Request("include_obfuscation", conversions.padding_wanted),),
        "null",
        "`include_obfuscation: false` removes the random padding; needs `stream`",
    ),
    Parameter(
        "background",
        Nullable(Boolean()),
        (Request("background"), Setting("background", False)),
        "false",
        "returns at once; the response is polled or streamed later",
    ),
    Parameter(
        "max_output_tokens",
        Nullable(Integer(LEAST_TOKENS)),
        (Request("max_tokens"), Setting("max_output_tokens")),
        "the server's `default_max_tokens`",
        "the maximum number of tokens to generate, reasoning included",
        "a limit that does not fit the window is cut to it",
    ),
    Parameter(
        "max_tool_calls",
        Nullable(Integer(1)),
        (Setting("max_tool_calls"),),
        "null",
        "shown; counts only calls of hosted tools",
    ),
    Parameter(
        "reasoning",
        Nullable(_REASONING),
        (
            Request("reasoning_effort", normal_form.effort),
            Setting("reasoning", normal_form.reasoning({}), normal_form.reasoning),
        ),
        "null",
        "`effort` and `summary` are rejected, as by gpt-4.1-mini; with `--extensions`, `effort` "
        "sets the effort of models that reason, and `summary` has no effect",
    ),
    Parameter("user", Nullable(_IDENTIFIER), (Setting("user"),), "null", _NO_EFFECT),
    Parameter(
        "safety_identifier",
        Nullable(Text(max_length=64)),
        (Setting("safety_identifier"),),
        "null",
        _NO_EFFECT,
    ),
    Parameter(
        "prompt_cache_options",
        Nullable(_CACHE_OPTIONS),
        (NoEffect(),),
        "null",
        "accepted; the server alone decides what it caches",
    ),
    Parameter(
        "prompt_cache_key",
        Nullable(_IDENTIFIER),
        (Request("cache_key"), Setting("prompt_cache_key")),
        "null",
        CACHE_KEY,
    ),
    Parameter(
        "prompt_cache_retention",
        Nullable(word("in_memory", "24h")),
        (Setting("prompt_cache_retention", "in_memory"),),
        "`in_memory`",
        _NO_EFFECT,
    ),
    Parameter(
        "truncation",
        Nullable(word("auto", "disabled")),
        (Request("truncates", normal_form.is_auto), Setting("truncation", "disabled")),
        "`disabled`",
        "`auto` drops the oldest items until the prompt fits the window",
    ),
    Parameter(
        "instructions",
        Nullable(Text()),
        (Request("instructions"), Setting("instructions")),
        "null",
        "a developer message before everything; a later response does not inherit it",
    ),
    Parameter(
        "store",
        Nullable(Boolean()),
        (Request("store"), Setting("store", True)),
        "true",
        "keeps the response and its context for 30 days",
    ),
    Parameter(
        "service_tier",
        Nullable(word("auto", "default", "fast", "flex", "priority")),
        (NoEffect(),),
        "`auto`",
        "accepted; a finished response shows `default`",
        "there is one tier",
    ),
    Parameter(
        "top_logprobs",
        Nullable(Integer(0, 20)),
        (Request("top_logprobs"), Setting("top_logprobs", 0)),
        "0",
        f"the number of alternatives for each token; needs `{normal_form.LOGPROBS}` in `include`",
    ),
    Parameter(
        "context_management",
        Nullable(_CONTEXT_MANAGEMENT),
        (Rejected(),),
        "null",
        "rejected with `unsupported_parameter`",
        "this server does not compact contexts",
    ),
)
EXTENSIONS = (
    *of_sampling("seed", "top_k", "min_p", "repetition_penalty"),
    Parameter(
        "client_metadata",
        Nullable(FreeForm()),
        (NoEffect(),),
        "null",
        "accepted, because Codex sends it; has no effect",
    ),
)
"""Parameters that OpenAI rejects as unknown. A server accepts them if it is set to."""
TABLE = ParameterTable(PARAMETERS, EXTENSIONS)
