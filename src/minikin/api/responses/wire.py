"""The objects of the Responses API, with OpenAI's keys in the order that was recorded.

The JSON does not contain UNSET fields. None is written as null.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from minikin.api.answer.wire import TokenLogprob

Status = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
ItemStatus = Literal["in_progress", "completed", "incomplete"]


class OutputText(msgspec.Struct, frozen=True, kw_only=True, tag="output_text"):
    """The text of a message."""

    annotations: list[dict[str, Any]] = []
    logprobs: list[TokenLogprob] = []
    text: str


class ReasoningText(msgspec.Struct, frozen=True, kw_only=True, tag="reasoning_text"):
    """The model's reasoning."""

    text: str


class MessageItem(msgspec.Struct, frozen=True, kw_only=True):
    """A message of the assistant."""

    id: str
    type: Literal["message"] = "message"
    status: ItemStatus
    content: list[OutputText]
    role: Literal["assistant"] = "assistant"


class FunctionCallItem(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a function. `arguments` is JSON."""

    id: str
    type: Literal["function_call"] = "function_call"
    status: ItemStatus
    arguments: str
    call_id: str
    name: str


class CustomToolCallItem(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a custom tool. `input` is any text."""

    id: str
    type: Literal["custom_tool_call"] = "custom_tool_call"
    status: ItemStatus
    call_id: str
    input: str
    name: str


class ReasoningItem(msgspec.Struct, frozen=True, kw_only=True):
    """The reasoning before an answer, of models that reason. gpt-4.1-mini does not."""

    id: str
    type: Literal["reasoning"] = "reasoning"
    summary: list[dict[str, Any]] = []
    content: list[ReasoningText]
    status: ItemStatus


OutputItem = MessageItem | FunctionCallItem | CustomToolCallItem | ReasoningItem


class InputTokensDetails(msgspec.Struct, frozen=True):
    """Details of the input tokens."""

    cached_tokens: int = 0


class OutputTokensDetails(msgspec.Struct, frozen=True):
    """Details of the output tokens."""

    reasoning_tokens: int = 0


class ResponseUsage(msgspec.Struct, frozen=True):
    """The tokens of one response."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class IncompleteDetails(msgspec.Struct, frozen=True):
    """Why a response is incomplete."""

    reason: Literal["max_output_tokens"]


class ResponseError(msgspec.Struct, frozen=True):
    """Why a response failed."""

    code: str
    message: str


class Conversation(msgspec.Struct, frozen=True):
    """The conversation that a response belongs to."""

    id: str


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """A response. Its settings are those of the request, or OpenAI's defaults."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    status: Status
    background: bool
    billing: dict[str, str] | UnsetType = UNSET
    """Who pays. Only in JSON answers that ended."""
    completed_at: int | None = None
    conversation: Conversation | UnsetType = UNSET
    error: ResponseError | None = None
    frequency_penalty: float
    incomplete_details: IncompleteDetails | None = None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    model: str
    moderation: None = None
    output: list[Any] = []
    """OutputItems."""
    parallel_tool_calls: bool
    presence_penalty: float
    previous_response_id: str | None
    prompt_cache_key: str | None
    prompt_cache_retention: str | None
    reasoning: dict[str, Any]
    safety_identifier: str | None
    service_tier: Literal["auto", "default"] = "auto"
    store: bool
    temperature: float
    text: dict[str, Any]
    tool_choice: str | dict[str, Any]
    tools: list[dict[str, Any]]
    top_logprobs: int
    top_p: float
    truncation: Literal["auto", "disabled"]
    usage: ResponseUsage | None = None
    user: str | None
    metadata: dict[str, str]


class InputTokens(msgspec.Struct, frozen=True, kw_only=True):
    """The number of input tokens that a response would have."""

    object: Literal["response.input_tokens"] = "response.input_tokens"
    input_tokens: int
