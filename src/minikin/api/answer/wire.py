"""The objects sent over HTTP, with the fields of OpenAI's (openai-openapi).

The JSON does not contain UNSET fields. None is written as null.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from minikin.errors import ErrorType

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "function_call"]


class TopLogprob(msgspec.Struct, frozen=True):
    """A token that was likely at this position."""

    token: str
    logprob: float
    bytes: list[int] | None


class TokenLogprob(msgspec.Struct, frozen=True):
    """A token of the answer. The `bytes` of all entries together are the content's UTF-8."""

    token: str
    logprob: float
    bytes: list[int] | None
    top_logprobs: list[TopLogprob]


class Logprobs(msgspec.Struct, frozen=True):
    """Log probabilities of a choice's tokens."""

    content: list[TokenLogprob] | None
    refusal: list[TokenLogprob] | None = None


class PromptTokensDetails(msgspec.Struct, frozen=True):
    """Details of the prompt tokens."""

    cached_tokens: int = 0
    audio_tokens: int = 0


class CompletionTokensDetails(msgspec.Struct, frozen=True):
    """Details of the completion tokens."""

    reasoning_tokens: int = 0
    audio_tokens: int = 0
    accepted_prediction_tokens: int = 0
    rejected_prediction_tokens: int = 0


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one request: the prompt once, the completions of all choices."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails


class FunctionCall(msgspec.Struct, frozen=True):
    """The function of a tool call."""

    name: str
    arguments: str
    """JSON."""


class ToolCall(msgspec.Struct, frozen=True):
    """A call that the assistant makes."""

    id: str
    function: FunctionCall
    type: Literal["function"] = "function"


class FunctionDelta(msgspec.Struct, frozen=True):
    """The part of a function call in a chunk. Only the first part has the name."""

    arguments: str
    name: str | UnsetType = UNSET


class ToolCallDelta(msgspec.Struct, frozen=True):
    """The part of the tool call with this index. Only the first part has the id and the type."""

    index: int
    function: FunctionDelta
    id: str | UnsetType = UNSET
    type: Literal["function"] | UnsetType = UNSET


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """The assistant's answer."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    reasoning_content: str | UnsetType = UNSET
    """The model's reasoning. OpenAI has no such field. Other servers use this name."""
    tool_calls: list[ToolCall] | UnsetType = UNSET
    function_call: FunctionCall | UnsetType = UNSET
    """The call, for a request with `functions`."""
    refusal: str | None = None
    annotations: list[dict[str, str]] = []


class Choice(msgspec.Struct, frozen=True):
    """One of the `n` answers."""

    index: int
    message: Message
    logprobs: Logprobs | None
    finish_reason: FinishReason


class ChatCompletion(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a chat completion request without `stream`."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    service_tier: Literal["default"] = "default"
    system_fingerprint: str | None
    metadata: dict[str, str] | UnsetType = UNSET


class Delta(msgspec.Struct, frozen=True):
    """The part of a message in a chunk."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType | None = UNSET
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[ToolCallDelta] | UnsetType = UNSET
    function_call: FunctionDelta | UnsetType = UNSET
    refusal: str | UnsetType | None = UNSET


class ChunkChoice(msgspec.Struct, frozen=True):
    """The part of one choice in a chunk."""

    index: int
    delta: Delta
    logprobs: Logprobs | None = None
    finish_reason: FinishReason | None = None


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """One server-sent event of a streamed answer."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    service_tier: Literal["default"] = "default"
    system_fingerprint: str | None
    choices: list[ChunkChoice]
    usage: Usage | UnsetType | None = UNSET
    obfuscation: str | UnsetType = UNSET


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model of this server."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    context_length: int | UnsetType = UNSET
    """Tokens of prompt and answer together."""
    max_output_tokens: int | UnsetType = UNSET
    root: str | UnsetType = UNSET
    """The id of the model that an alias means, as vLLM has it."""


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """All models of this server."""

    object: Literal["list"] = "list"
    data: list[Model]


class ErrorBody(msgspec.Struct, frozen=True):
    """The details of an error."""

    message: str
    type: ErrorType
    param: str | None
    code: str | None


class Error(msgspec.Struct, frozen=True):
    """The outer object of every error."""

    error: ErrorBody
