"""A streaming client that costs next to nothing beside the server it measures."""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

ENDLESS = {"0": -100, "2": -100}
"""A bias that bans the end tokens of the default model, so that answers have their full length."""
_CONTENT = re.compile(rb'"content":\s?"[^"]')
_COUNTS = re.compile(rb'"(prompt_tokens|completion_tokens)":\s?(\d+)')
_KEPT = 4000
"""Bytes of an answer's end that are kept: usage comes last."""


@dataclass(frozen=True)
class Answer:
    """What one streamed request took. Times are in seconds from its start."""

    first: float
    last: float
    prompt_tokens: int
    tokens: int

    @property
    def rate(self) -> float:
        """Tokens a second, after the first one."""
        return (self.tokens - 1) / (self.last - self.first)


async def ask(url: str, content: str, tokens: int, *, full: bool = True, **more: Any) -> Answer:
    """Stream an answer of at most `tokens` tokens; of exactly so many if it must be `full`.

    Raises RuntimeError for an answer that is an error or shorter. Tokens are counted by the server.
    """
    body = {
        "model": "gpt-4.1-mini",
        "messages": [{"role": "user", "content": content}],
        "max_tokens": tokens,
        "temperature": 0,
        "top_p": 1,  # servers have defaults of their own
        "stream": True,
        "stream_options": {"include_usage": True},
        **({"logit_bias": ENDLESS} if full else {}),
        **more,
    }
    host = urlsplit(url)
    reader, writer = await asyncio.open_connection(host.hostname, host.port)
    started = time.perf_counter()
    writer.write(_request(host.netloc, json.dumps(body).encode()))
    first, end = 0.0, b""
    while data := await reader.read(1 << 16):
        if not first and _CONTENT.search(end[-100:] + data):
            first = time.perf_counter() - started
        end = (end + data)[-_KEPT:]
    last = time.perf_counter() - started
    writer.close()
    counts = {name.decode(): int(count) for name, count in _COUNTS.findall(end)}
    found = counts.get("completion_tokens")
    if found is None or (full and found != tokens):
        raise RuntimeError(f"asked for {tokens} tokens, got {found}: {end[-500:]!r}")
    return Answer(first or last, last, counts["prompt_tokens"], found)


def _request(host: str, body: bytes) -> bytes:
    head = (
        "POST /v1/chat/completions HTTP/1.1",
        f"Host: {host}",
        "Content-Type: application/json",
        "Connection: close",
        f"Content-Length: {len(body)}",
        "\r\n",
    )
    return "\r\n".join(head).encode() + body
