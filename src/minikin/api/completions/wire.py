"""The objects of raw completions, with OpenAI's keys in the order that was recorded.

The JSON does not contain UNSET fields. None is written as null.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

Likely = dict[str, float]
"""The most likely tokens at one place, with their log probabilities."""
FinishReason = Literal["stop", "length"]


class TextLogprobs(msgspec.Struct, frozen=True):
    """The log probabilities of tokens, in lists of the same length."""

    tokens: list[str]
    token_logprobs: list[float | None]
    """The first token of a prompt has none."""
    top_logprobs: list[Likely | None] | None
    """For each token the most likely ones. None if the request wants no alternatives."""
    text_offset: list[int]
    """Where each token begins, in characters of the prompt and the answer together."""


class TextChoice(msgspec.Struct, frozen=True, kw_only=True):
    """One answer, or the next part of it in a chunk."""

    text: str
    index: int
    logprobs: TextLogprobs | None = None
    finish_reason: FinishReason | None = None


class TextUsage(msgspec.Struct, frozen=True):
    """Tokens of one request: each prompt once, and all answers that were made."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class TextCompletion(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a request without `stream`."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[TextChoice]
    usage: TextUsage


class TextChunk(msgspec.Struct, frozen=True, kw_only=True):
    """One server-sent event of a streamed answer."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    choices: list[TextChoice]
    model: str
    usage: TextUsage | UnsetType | None = UNSET
