"""Which requests a proxy should send to the same server, because they begin alike."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from msgspec.json import encode

from minikin.api.request.answer_request import AnswerRequest

SESSION = "x-session-id"
"""The header of an answer with its key. A proxy hashes the same header of the next request."""
RAW_LENGTH = 256
"""Tokens or characters of a raw prompt that count."""


def affinity_key(request: AnswerRequest, owner: str) -> str:
    """16 hex digits, the same for all turns of a conversation.

    It depends on the owner, the model, and `prompt_cache_key` if the client sends one. Without it,
    the messages up to the first one of the user count, so that conversations that share only a
    system prompt spread over all servers.
    """
    start = request.cache_key or _start(request)
    return blake2b(encode((owner, request.model, start)), digest_size=8).hexdigest()


def _start(request: AnswerRequest) -> Any:
    """What later turns of the same conversation have in common."""
    if request.raw_prompt is not None:
        return request.raw_prompt[:RAW_LENGTH]
    roles = [message["role"] for message in request.messages]
    count = roles.index("user") + 1 if "user" in roles else len(roles)
    return [(role, _text(request.messages[at])) for at, role in enumerate(roles[:count])]


def _text(message: dict[str, Any]) -> str:
    """The same for a text and for its parts, which is how the store has it."""
    content = message.get("content") or ""
    return (
        content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
    )
