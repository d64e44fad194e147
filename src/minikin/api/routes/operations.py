"""Parts of the OpenAPI document that every route uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minikin.api.http.lists import ORDER, Listing

BODY_FAULTS = (400, 408, 413, 415)
ANSWER_FAULTS = (*BODY_FAULTS, 404, 429, 500, 503, 504)
"""Of the routes that a model answers."""
CHUNKS = "chunks, one per `data:` line"
REF = "#/components/schemas/{name}"


def operation(summary: str, content: dict[str, Any], *failures: int) -> dict[str, Any]:
    """An operation with its answer, and the statuses of its failures."""
    done = {"200": {"description": "done", "content": content}}
    return with_failures({"summary": summary, "responses": done}, *failures)


def with_failures(operation: dict[str, Any], *failures: int) -> dict[str, Any]:
    """`operation` with the body of every failure, and with the failures of all routes."""
    failed = {"description": "the request failed", "content": component("Error")}
    responses: dict[str, Any] = operation["responses"]
    own = [int(status) for status in responses if status >= "400"]
    all_failures = {str(status): failed for status in (401, 403, *own, *failures)}
    return {**operation, "responses": responses | all_failures}


def taking(
    schema: dict[str, Any],
    summary: str,
    content: dict[str, Any] | None = None,
    *failures: int,
) -> dict[str, Any]:
    """An operation with a JSON body."""
    described = operation(summary, content or any_object(), *BODY_FAULTS, *failures)
    described["requestBody"] = {"required": True, "content": inline(schema)}
    return described


def listing(
    summary: str, rules: Listing, others: Mapping[str, Any], *failures: int
) -> dict[str, Any]:
    """An operation that returns a page of a list. `others` are further parameters."""
    described = operation(summary, any_object(), 400, *failures)
    parameters = {
        "after": {"type": "string"},
        "limit": rules.limit.schema,
        "order": ORDER.schema,
        **others,
    }
    described["parameters"] = [
        {"name": name, "in": "query", "schema": schema} for name, schema in parameters.items()
    ]
    return described


def streaming(operation: dict[str, Any], events: str) -> dict[str, Any]:
    """`operation` with an answer that can also be a stream of `events`."""
    # Without a type: some tools check the whole stream against the schema, and some each event.
    stream = {"text/event-stream": {"schema": {"description": events}}}
    operation["responses"]["200"]["content"] |= stream
    return operation


def of_path(name: str, operation: dict[str, Any]) -> dict[str, Any]:
    """`operation` with this parameter in its path."""
    text = {"type": "string", "minLength": 1}
    parameter = {"name": name, "in": "path", "required": True, "schema": text}
    operation.setdefault("parameters", []).append(parameter)
    return operation


def any_object() -> dict[str, Any]:
    """The content of an answer that is an object."""
    return inline({"type": "object"})


def inline(schema: dict[str, Any]) -> dict[str, Any]:
    """JSON content of this schema."""
    return {"application/json": {"schema": schema}}


def component(name: str) -> dict[str, Any]:
    """JSON content of this schema among the document's components."""
    return inline({"$ref": REF.format(name=name)})
