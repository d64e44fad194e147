"""The server's OpenAPI document, generated from the parameter rules and the wire types."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec

from minikin import __version__
from minikin.api.answer.wire import ChatCompletion, Chunk, Error, Model, ModelList
from minikin.api.request.parameters import served_parameters
from minikin.api.routes.stored_completions import LIMIT, ORDER, UPDATE
from minikin.api.routes.tokens import IDS, TEXT

_REF = "#/components/schemas/{name}"
_ANSWER = "ChatCompletion"
_BODY_FAULTS = (400, 408, 413, 415)
_WIRE = (ChatCompletion, Chunk, Error, Model, ModelList)


@cache
def document(*, extensions: bool = False) -> dict[str, Any]:
    """The OpenAPI 3.1 document of every route under /v1, and of the two probes.

    `extensions`: for a server that accepts them.
    """
    _, components = msgspec.json.schema_components(_WIRE, ref_template=_REF)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Minikin",
            "version": __version__,
            "description": "OpenAI's gpt-4.1-mini API on your own model.",
        },
        "paths": _paths(),
        "components": {
            "schemas": {"ChatCompletionRequest": _request_schema(extensions), **components},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def with_more(described: dict[str, Any], paths: Mapping[str, Any]) -> dict[str, Any]:
    """The document with the routes of another room, whose failures have the server's body."""
    more = {
        path: {method: _with_failures(operation) for method, operation in methods.items()}
        for path, methods in paths.items()
    }
    return {**described, "paths": described["paths"] | more}


def _request_schema(extensions: bool) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "model": {"type": "string", "minLength": 1, "description": "a name from GET /v1/models"}
    }
    for parameter in served_parameters(extensions=extensions):
        text = f"{parameter.behaviour}. Default: {parameter.default}."
        properties[parameter.name] = {**parameter.rule.schema, "description": text}
    return {
        "type": "object",
        "required": ["model", "messages"],
        "properties": properties,
        "additionalProperties": False,
    }


def _paths() -> dict[str, Any]:
    stored = "/v1/chat/completions/{id}"
    status = _inline({"type": "object", "required": ["status"]})
    ready = _operation("Return whether the model is ready", status, 503)
    ready["responses"]["503"] = {
        "description": "loading or stopping",
        "content": status,
    }
    return {
        "/v1/chat/completions": {"post": _chat(), "get": _list("List stored completions")},
        stored: {
            "get": _of_path("id", _operation("Return a stored completion", _json(_ANSWER), 404)),
            "post": _of_path("id", _update()),
            "delete": _of_path("id", _operation("Delete a stored completion", _any(), 404)),
        },
        f"{stored}/messages": {"get": _of_path("id", _list("List its messages", 404))},
        "/v1/models": {"get": _operation("List the models", _json("ModelList"))},
        "/v1/models/{model}": {
            "get": _of_path("model", _operation("Return one model", _json("Model"), 404))
        },
        "/tokenize": {
            "post": _taking(TEXT.schema, "Turn text into token ids", None, 404, 500, 503)
        },
        "/detokenize": {
            "post": _taking(IDS.schema, "Turn token ids into text", None, 404, 500, 503)
        },
        "/health": {"get": _operation("Return whether the server is alive", status)},
        "/ready": {"get": ready},
    }


def _chat() -> dict[str, Any]:
    chat = _operation("Answer a conversation", _json(_ANSWER), *_BODY_FAULTS, 404, 500, 503)
    chat["requestBody"] = {"required": True, "content": _json("ChatCompletionRequest")}
    chat["responses"]["200"]["content"]["text/event-stream"] = {
        "schema": {"type": "string", "description": "chunks, one per `data:` line"}
    }
    return chat


def _update() -> dict[str, Any]:
    return _taking(UPDATE.schema, "Replace the metadata", _json(_ANSWER), 404)


def _taking(
    schema: dict[str, Any],
    summary: str,
    content: dict[str, Any] | None = None,
    *failures: int,
) -> dict[str, Any]:
    """An operation with a JSON body."""
    operation = _operation(summary, content or _any(), *_BODY_FAULTS, *failures)
    operation["requestBody"] = {"required": True, "content": _inline(schema)}
    return operation


def _list(summary: str, *failures: int) -> dict[str, Any]:
    """An operation that returns a page of a list."""
    operation = _operation(summary, _any(), 400, *failures)
    operation["parameters"] = [
        {"name": name, "in": "query", "schema": schema}
        for name, schema in {
            "after": {"type": "string"},
            "limit": LIMIT.schema,
            "order": ORDER.schema,
            "model": {"type": "string"},
        }.items()
    ]
    return operation


def _of_path(name: str, operation: dict[str, Any]) -> dict[str, Any]:
    """`operation` with this parameter in its path."""
    text = {"type": "string", "minLength": 1}
    parameter = {"name": name, "in": "path", "required": True, "schema": text}
    operation.setdefault("parameters", []).append(parameter)
    return operation


def _operation(summary: str, content: dict[str, Any], *failures: int) -> dict[str, Any]:
    done = {"200": {"description": "done", "content": content}}
    return _with_failures({"summary": summary, "responses": done}, *failures)


def _with_failures(operation: dict[str, Any], *failures: int) -> dict[str, Any]:
    """`operation` with the body of every failure, and with the failures of all routes."""
    failed = {"description": "the request failed", "content": _json("Error")}
    responses: dict[str, Any] = operation["responses"]
    own = [int(status) for status in responses if status >= "400"]
    all_failures = {str(status): failed for status in (401, 403, *own, *failures)}
    return {**operation, "responses": responses | all_failures}


def _any() -> dict[str, Any]:
    return _inline({"type": "object"})


def _inline(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _json(schema: str) -> dict[str, Any]:
    return _inline({"$ref": _REF.format(name=schema)})
