"""The server's OpenAPI document, generated from the parameter rules and the wire types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import msgspec

from minikin import __version__
from minikin.api.answer.wire import ChatCompletion, Chunk, Error, Model, ModelList
from minikin.api.completions import parameters as of_completions
from minikin.api.completions.wire import TextCompletion
from minikin.api.request.parameter import Parameter
from minikin.api.request.parameters import TABLE
from minikin.api.responses import parameters as of_responses
from minikin.api.responses.translate import COUNTED
from minikin.api.responses.wire import InputTokens, Response
from minikin.api.routes import (
    batches,
    completions,
    conversations,
    files,
    responses,
    stored_responses,
)
from minikin.api.routes.operations import (
    ANSWER_FAULTS,
    CHUNKS,
    REF,
    any_object,
    component,
    inline,
    listing,
    of_path,
    operation,
    streaming,
    taking,
    with_failures,
)
from minikin.api.routes.stored_completions import LISTING, UPDATE
from minikin.api.routes.tokens import IDS, TEXT
from minikin.config import ORIGINAL

_ANSWER = "ChatCompletion"
_QUESTION = "What is the capital of France?"
_MODEL = {"model": {"type": "string"}}
_METRICS = {"text/plain": {"schema": {"type": "string"}}}
_WIRE = (ChatCompletion, Chunk, Error, Model, ModelList, Response, InputTokens, TextCompletion)


@cache
def document(*, extensions: bool = False) -> dict[str, Any]:
    """The OpenAPI 3.1 document of every route under /v1, and of the two probes.

    `extensions`: for a server that accepts them.
    """
    _, components = msgspec.json.schema_components(_WIRE, ref_template=REF)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Minikin",
            "version": __version__,
            "description": "OpenAI's gpt-4.1-mini API on your own model.",
        },
        "paths": _paths(),
        "components": {
            "schemas": {**_bodies(extensions), **components},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def with_more(described: dict[str, Any], paths: Mapping[str, Any]) -> dict[str, Any]:
    """The document with the routes of another room, whose failures have the server's body."""
    more = {
        path: {method: with_failures(operation) for method, operation in methods.items()}
        for path, methods in paths.items()
    }
    return {**described, "paths": described["paths"] | more}


def _bodies(extensions: bool) -> dict[str, Any]:
    responses = of_responses.TABLE.served(extensions=extensions)
    counted = [parameter for parameter in responses if parameter.name in COUNTED]
    return {
        "ChatCompletionRequest": _body(
            TABLE.served(extensions=extensions),
            messages=[{"role": "user", "content": _QUESTION}],
        ),
        "ResponseRequest": _body(responses, "input"),
        "InputTokensRequest": _body(counted),
        "CompletionRequest": _body(of_completions.PARAMETERS, prompt="Once upon a time"),
    }


def _body(parameters: Iterable[Parameter], *required: str, **example: Any) -> dict[str, Any]:
    """The schema of a body. `example` has required properties, beside those that are `required`."""
    properties: dict[str, Any] = {
        "model": {"type": "string", "minLength": 1, "description": "a name from GET /v1/models"}
    }
    for parameter in parameters:
        text = f"{parameter.behaviour}. Default: {parameter.default}."
        properties[parameter.name] = {**parameter.rule.schema, "description": text}
    return {
        "type": "object",
        "required": ["model", *required, *example],
        "properties": properties,
        "additionalProperties": False,
        **({"examples": [{"model": ORIGINAL, **example}]} if example else {}),
    }


def _paths() -> dict[str, Any]:
    stored = "/v1/chat/completions/{id}"
    status = inline({"type": "object", "required": ["status"]})
    ready = operation("Return whether the model is ready", status, 503)
    ready["responses"]["503"] = {
        "description": "loading or stopping",
        "content": status,
    }
    return {
        "/v1/chat/completions": {
            "post": _chat(),
            "get": listing("List stored completions", LISTING, _MODEL),
        },
        stored: {
            "get": of_path("id", operation("Return a stored completion", component(_ANSWER), 404)),
            "post": of_path("id", _update()),
            "delete": of_path("id", operation("Delete a stored completion", any_object(), 404)),
        },
        f"{stored}/messages": {
            "get": of_path("id", listing("List its messages", LISTING, _MODEL, 404))
        },
        **completions.paths(),
        **responses.paths(),
        **stored_responses.paths(),
        **conversations.paths(),
        **files.paths(),
        **batches.paths(),
        "/v1/models": {"get": operation("List the models", component("ModelList"))},
        "/v1/models/{model}": {
            "get": of_path("model", operation("Return one model", component("Model"), 404))
        },
        "/tokenize": {"post": taking(TEXT.schema, "Turn text into token ids", None, 404, 500, 503)},
        "/detokenize": {
            "post": taking(IDS.schema, "Turn token ids into text", None, 404, 500, 503)
        },
        "/metrics": {"get": operation("Return counts and times, for Prometheus", _METRICS)},
        "/health": {"get": operation("Return whether the server is alive", status)},
        "/ready": {"get": ready},
    }


def _chat() -> dict[str, Any]:
    chat = operation("Answer a conversation", component(_ANSWER), *ANSWER_FAULTS)
    chat["requestBody"] = {"required": True, "content": component("ChatCompletionRequest")}
    return streaming(chat, CHUNKS)


def _update() -> dict[str, Any]:
    return taking(UPDATE.schema, "Replace the metadata", component(_ANSWER), 404)
