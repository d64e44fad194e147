"""POST /tokenize and /detokenize: what the local model's token ids are, for `logit_bias`.

The original has no such routes: its ids come with a library, those of a local model with its file.
"""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from minikin.api.http import json_response, read_json
from minikin.api.rules import Array, Integer, Object, Property, Text
from minikin.api.service import Service

MAX_IDS = 1_048_576
MAX_CHARS = 1_048_576
TEXT = Object({"text": Property(Text(MAX_CHARS), required=True)})


class Tokens:
    """The two routes."""

    def __init__(self, service: Service) -> None:
        self._tokenizer = service.tokenizer
        self._max_bytes = service.settings.max_body_bytes
        ids = Array(Integer(0, self._tokenizer.vocab_size - 1), "an array of integers", MAX_IDS)
        self._ids = Object({"ids": Property(ids, required=True)})

    async def tokenize(self, request: Request) -> Response:
        """`{"text"}` in, `{"ids", "tokens"}` out; parts of a character are escaped."""
        body = TEXT.check(await read_json(request, self._max_bytes), "")
        ids = await asyncio.to_thread(self._tokenizer.encode, body["text"])
        tokens = [self._tokenizer.token_bytes(i).decode(errors="backslashreplace") for i in ids]
        return json_response({"ids": ids, "tokens": tokens})

    async def detokenize(self, request: Request) -> Response:
        """`{"ids"}` in, `{"text"}` out."""
        body = self._ids.check(await read_json(request, self._max_bytes), "")
        return json_response({"text": await asyncio.to_thread(self._tokenizer.decode, body["ids"])})
