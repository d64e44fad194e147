"""The server's OpenAPI document, written from the parameter rules and the wire types."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from minikin import __version__
from minikin.api.parameters import PARAMETERS
from minikin.api.wire import ChatCompletion, Chunk, Error, Model, ModelList

_REF = "#/components/schemas/{name}"
_WIRE = (ChatCompletion, Chunk, Error, Model, ModelList)


@cache
def document() -> dict[str, Any]:
    """The OpenAPI 3.1 document of every route under /v1, and of the two probes."""
    _, components = msgspec.json.schema_components(_WIRE, ref_template=_REF)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Minikin",
            "version": __version__,
            "description": "OpenAI's gpt-4.1-mini API on a model of your own.",
        },
        "paths": _paths(),
        "components": {
            "schemas": {"ChatCompletionRequest": _request_schema(), **components},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _request_schema() -> dict[str, Any]:
    properties: dict[str, Any] = {
        "model": {"type": "string", "minLength": 1, "description": "a name from GET /v1/models"}
    }
    for parameter in PARAMETERS:
        text = f"{parameter.behaviour}. Default: {parameter.default}."
        properties[parameter.name] = {**parameter.rule.schema, "description": text}
    return {
        "type": "object",
        "required": ["model", "messages"],
        "properties": properties,
        "additionalProperties": False,
    }


def _paths() -> dict[str, Any]:
    failures = (400, 404, 408, 413, 415, 500, 503)
    chat = _operation("Answer a conversation", _json("ChatCompletion"), *failures)
    chat["requestBody"] = {"required": True, "content": _json("ChatCompletionRequest")}
    chat["responses"]["200"]["content"]["text/event-stream"] = {
        "schema": {"type": "string", "description": "chunks, one to a `data:` line"}
    }
    model = _operation("Show one model", _json("Model"), 404)
    model["parameters"] = [
        {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}
    ]
    status = {"application/json": {"schema": {"type": "object", "required": ["status"]}}}
    ready = _operation("Whether the model answers now", status)
    ready["responses"]["503"] = {"description": "not yet, or no more", "content": status}
    return {
        "/v1/chat/completions": {"post": chat},
        "/v1/models": {"get": _operation("List the models", _json("ModelList"))},
        "/v1/models/{model}": {"get": model},
        "/health": {"get": _operation("Whether the server is alive", status)},
        "/ready": {"get": ready},
    }


def _operation(summary: str, content: dict[str, Any], *failures: int) -> dict[str, Any]:
    failed = {"description": "the request failed", "content": _json("Error")}
    return {
        "summary": summary,
        "responses": {
            "200": {"description": "done", "content": content},
            **{str(status): failed for status in failures},
        },
    }


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REF.format(name=schema)}}}
