"""POST /tokenize and /detokenize: the local model's token ids, for `logit_bias`.

OpenAI has no such routes, because its ids come with a library. Those of a local model come with its
file.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from minikin.api.http.bodies import read_json
from minikin.api.http.http import json_response
from minikin.api.http.large import off_loop
from minikin.api.request import faults
from minikin.api.request.rules import Array, Integer, Object, Property, Text
from minikin.api.request.translate import check_model
from minikin.api.serving.service import Service
from minikin.tokenizer.tokenizer import Tokenizer

MAX_IDS = 1_048_576
WORK = 16
"""A character or an id takes as long as this many bytes of JSON."""
MAX_CHARS = 1_048_576
_MODEL = Property(Text(max_length=256))
TEXT = Object({"text": Property(Text(MAX_CHARS), required=True), "model": _MODEL})
_ID_LIST = Array(Integer(0), "an array of integers", MAX_IDS)
IDS = Object({"ids": Property(_ID_LIST, required=True), "model": _MODEL})


class Tokens:
    """The two routes. `model` is optional in both. Its default is the server's first model."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def tokenize(self, request: Request) -> Response:
        """`{"text"}` in, `{"ids", "tokens"}` out. Parts of a character are escaped."""
        body, name = await self._read(request, TEXT)
        async with self._model(request, name) as tokenizer:
            text = body["text"]
            return await off_loop(len(text) * WORK, partial(_tokenized, tokenizer, text))

    async def detokenize(self, request: Request) -> Response:
        """`{"ids"}` in, `{"text"}` out."""
        body, name = await self._read(request, IDS)
        async with self._model(request, name) as tokenizer:
            ids = body["ids"]
            return await off_loop(len(ids) * WORK, partial(_text, tokenizer, ids))

    @asynccontextmanager
    async def _model(self, request: Request, name: str) -> AsyncIterator[Tokenizer]:
        """A place, and the model's tokenizer."""
        with self._service.place(request.state.owner):
            async with self._service.models.use(name) as model:
                yield model.tokenizer

    async def _read(self, request: Request, rule: Object) -> tuple[dict[str, Any], str]:
        """The checked body, and the model that it names. Raises InvalidRequest, NotFound."""
        service = self._service
        body = await read_json(request, service, partial(rule.check, path=""))
        name = body.get("model", service.settings.models[0].id)
        return body, check_model(name, service.limits.models)


def _tokenized(tokenizer: Tokenizer, text: str) -> Response:
    ids = tokenizer.encode(text)
    tokens = [tokenizer.token_bytes(i).decode(errors="backslashreplace") for i in ids]
    return json_response({"ids": ids, "tokens": tokens})


def _text(tokenizer: Tokenizer, ids: list[int]) -> Response:
    """Raises InvalidRequest for ids that do not exist."""
    most = tokenizer.vocab_size - 1
    for at, token in enumerate(ids):
        if token > most:
            raise faults.out_of_range(f"ids[{at}]", "integer", token, most, above=True)
    return json_response({"text": tokenizer.decode(ids)})
