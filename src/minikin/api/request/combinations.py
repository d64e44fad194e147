"""The rules that combine several parameters, in the order in which OpenAI reports them.

The order is that of recorded requests with two errors. OpenAI always reported only one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minikin.api.request import faults
from minikin.api.request.destinations import Rejected
from minikin.api.request.message_rules import check_functions, check_messages, check_tools
from minikin.api.request.parameter_rules import MAX_BIAS
from minikin.api.request.parameters import MAX_OUTPUT_TOKENS, ORIGINAL_WINDOW, TABLE
from minikin.errors import InvalidRequest

Values = dict[str, Any]
"""The known parameters of the body, each already valid. Null values are removed."""


def one_limit(values: Values) -> None:
    """Both names of the same limit are set."""
    if "max_tokens" in values and "max_completion_tokens" in values:
        raise InvalidRequest(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            param="max_tokens",
            code="invalid_parameter_combination",
        )


def more_than_the_original_writes(values: Values) -> None:
    """A limit above OpenAI's. A limit above OpenAI's window has its own error."""
    for param in ("max_tokens", "max_completion_tokens"):
        if MAX_OUTPUT_TOKENS < (asked := values.get(param, 0)) <= ORIGINAL_WINDOW:
            raise InvalidRequest(
                f"{param} is too large: {asked}. This model supports at most {MAX_OUTPUT_TOKENS} "
                f"completion tokens, whereas you provided {asked}.",
                param=param,
                code="invalid_value",
            )


def top_logprobs_need_logprobs(values: Values) -> None:
    """Alternatives without the list that contains them."""
    if "top_logprobs" in values and not values.get("logprobs"):
        raise faults.only_with("top_logprobs", "logprobs")


def stream_options_need_stream(values: Values) -> None:
    """Stream options without a stream."""
    if "stream_options" in values and not values.get("stream"):
        raise faults.only_with("stream_options", "stream")


def message_content_and_order(values: Values) -> None:
    """Content that the model cannot read, and misplaced tool messages."""
    check_messages(values["messages"])


def json_object_needs_the_word(values: Values) -> None:
    """JSON mode that no message mentions. The model would write endless white space."""
    if values.get("response_format", {}).get("type") != "json_object":
        return
    if not any("json" in text.lower() for text in _texts(values["messages"])):
        raise InvalidRequest(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of "
            "type 'json_object'.",
            param="messages",
        )


def _texts(messages: list[dict[str, Any]]) -> list[str]:
    texts: list[str] = []
    for message in messages:
        content = message.get("content") or ""
        parts = [content] if isinstance(content, str) else [p.get("text", "") for p in content]
        texts.extend(parts)
    return texts


def tool_settings_need_tools(values: Values) -> None:
    """Settings for tools without tools, and tools that contradict each other."""
    for param, owner in (
        ("tool_choice", "tools"),
        ("parallel_tool_calls", "tools"),
        ("function_call", "functions"),
    ):
        asked = values.get(param)
        if asked is not None and (
            owner not in values or (asked == "required" and not values[owner])
        ):
            raise InvalidRequest(
                f"Invalid value for '{param}': '{param}' is only allowed when '{owner}' are "
                "specified.",
                param=param,
            )
    if "tools" in values and "functions" in values:
        raise faults.clashes("functions", "tools")
    check_tools(values.get("tools", []), values.get("tool_choice"))
    check_functions(values.get("functions", []), values.get("function_call"))


def metadata_needs_store(values: Values) -> None:
    """Metadata for an answer that is not stored."""
    if "metadata" in values and not values.get("store"):
        raise faults.only_with("metadata", "store")


def logit_bias_in_range(values: Values) -> None:
    """A bias outside the range."""
    for bias in values.get("logit_bias", {}).values():
        if not -MAX_BIAS <= bias <= MAX_BIAS:
            raise InvalidRequest(
                f"Logit bias value {float(bias)} is invalid or outside of range "
                f"[-{MAX_BIAS}, {MAX_BIAS}]",
                param="logit_bias",
            )


def prediction_stands_alone(values: Values) -> None:
    """Parameters that a prediction excludes (OpenAI's guide on predicted outputs)."""
    if "prediction" not in values:
        return
    used = {
        "n": values.get("n", 1) > 1,
        "logprobs": values.get("logprobs", False),
        "presence_penalty": values.get("presence_penalty", 0) > 0,
        "frequency_penalty": values.get("frequency_penalty", 0) > 0,
        "max_completion_tokens": "max_completion_tokens" in values,
        "tools": bool(values.get("tools")),
        "functions": bool(values.get("functions")),
    }
    for param, clash in used.items():
        if clash:
            raise faults.clashes(param, "prediction")


def continuation_of_a_text(values: Values) -> None:
    """An answer that continues a message which is not an assistant's text, or in a fixed format."""
    if not values.get("continue_final_message"):
        return
    *before, last = values["messages"]
    calls = last.get("tool_calls") or last.get("function_call")
    if not before or last["role"] != "assistant" or calls or not "".join(_texts([last])):
        raise InvalidRequest(
            "'continue_final_message' needs a last message with the role 'assistant' and a text, "
            "after at least one other message.",
            param="messages",
        )
    used = {
        "tools": bool(values.get("tools")),
        "functions": bool(values.get("functions")),
        "response_format": values.get("response_format", {}).get("type", "text") != "text",
    }
    for param, clash in used.items():
        if clash:
            raise faults.clashes(param, "continue_final_message")


def unserved_features(values: Values) -> None:
    """Parameters of the API that this server, or gpt-4.1-mini, does not support."""
    for parameter, destination in TABLE.going_to(Rejected):
        if parameter.name in values:
            raise destination.error(parameter.name)


BEFORE_UNKNOWN: tuple[Callable[[Values], None], ...] = (
    one_limit,
    top_logprobs_need_logprobs,
    stream_options_need_stream,
)
"""Checked before unrecognised arguments are reported."""

AFTER_UNKNOWN: tuple[Callable[[Values], None], ...] = (
    message_content_and_order,
    json_object_needs_the_word,
    tool_settings_need_tools,
    metadata_needs_store,
    logit_bias_in_range,
    prediction_stands_alone,
    continuation_of_a_text,
    more_than_the_original_writes,
    unserved_features,
)
