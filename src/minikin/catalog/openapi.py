"""The OpenAPI descriptions of the catalog's routes. The server adds them to its document."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from minikin.catalog.sources.query import Question

_OBJECT = {"schema": {"type": "object"}}
_JSON = {"application/json": _OBJECT}
_PAGES = ("text/html", "text/css", "text/javascript", "image/svg+xml")
_BROWSER = {"307": {"description": "a browser is redirected to the page"}}
_TEXT = {"type": "string", "minLength": 1}


def paths() -> dict[str, Any]:
    """The path items, without the failures that every route of the server has."""
    anything = _get(
        "Show a list, a record or a page of the catalog",
        _JSON | _media(*_PAGES),
        _BROWSER | _failures(404),
        [{"name": "path", "in": "path", "required": True, "schema": _TEXT}],
    )
    return {
        "/catalog": _get("Count the records of the catalog", _JSON, _BROWSER),
        "/catalog/offerings": _get(
            "List the offerings of the catalog", _JSON, _BROWSER | _failures(400), _query()
        ),
        "/catalog/api.json": _get("Return the whole catalog", _JSON, {}),
        "/catalog/api.schema.json": _get(
            "Return the JSON Schema of the whole catalog", {"application/schema+json": _OBJECT}, {}
        ),
        "/catalog/feed.xml": _get(
            "Return the newest changes as a feed", _media("application/atom+xml"), {}
        ),
        "/catalog/{path}": anything,
        "/api/v1/models": _get("List the models in OpenRouter's format", _JSON, {}),
        "/api/v1/models/{id}/endpoints": _get(
            "List the endpoints of a model in OpenRouter's format",
            _JSON,
            _failures(404),
            [{"name": "id", "in": "path", "required": True, "schema": _TEXT}],
        ),
    }


def _media(*types: str) -> dict[str, Any]:
    return {media: {"schema": {"type": "string"}} for media in types}


def _get(
    summary: str,
    content: dict[str, Any],
    others: dict[str, Any],
    parameters: Iterable[dict[str, Any]] = (),
) -> dict[str, Any]:
    done = {"200": {"description": "done", "content": content}}
    operation = {"summary": summary, "parameters": [*parameters], "responses": done | others}
    return {"get": operation}


def _failures(*statuses: int) -> dict[str, Any]:
    return {str(status): {"description": "the request failed"} for status in statuses}


def _query() -> list[dict[str, Any]]:
    """The parameters of a Question."""
    _, components = msgspec.json.schema_components([Question])
    properties: dict[str, dict[str, Any]] = components["Question"]["properties"]
    return [
        {"name": name, "in": "query", "schema": _without_null(schema)}
        for name, schema in properties.items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query string has no null: a parameter is there or not."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    return kinds[0] if kinds else {k: v for k, v in schema.items() if v is not None}
