"""GET /docs and /openapi.json: a description of the API, without external resources."""

from __future__ import annotations

from html import escape
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from minikin.api.http.http import json_response

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h2 { font: 600 1.1rem ui-monospace, monospace; margin-top: 2.5rem }
table { border-collapse: collapse; width: 100% }
td, th { text-align: left; vertical-align: top; padding: .3rem; border-bottom: 1px solid #ccc }
code { font-size: .9em }
"""
_BODIES = {"/v1/chat/completions": "ChatCompletionRequest", "/v1/responses": "ResponseRequest"}


def routes(described: dict[str, Any]) -> list[Route]:
    """The two routes, for an OpenAPI document."""

    async def data(request: Request) -> Response:
        return json_response(described)

    async def page(request: Request) -> Response:
        return HTMLResponse(_page(described))

    return [Route("/docs", page), Route("/openapi.json", data)]


def _page(described: dict[str, Any]) -> str:
    operations = [
        _operation(path, method, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = described["components"]["schemas"]
    bodies = "".join(
        f"<h2>Body of POST {path}</h2>{_table(schemas[name]['properties'])}"
        for path, name in _BODIES.items()
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Minikin API</title>"
        f"<style>{_STYLE}</style><h1>Minikin API</h1>"
        f"<p>{escape(described['info']['description'])} As data: "
        f"<a href=/openapi.json>openapi.json</a>.</p>{''.join(operations)}"
        f"{bodies}</html>"
    )


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    answers = ", ".join(operation["responses"])
    return (
        f"<h2>{method.upper()} {escape(path)}</h2>"
        f"<p>{escape(operation['summary'])}. Answers: {answers}.</p>"
    )


def _table(fields: dict[str, dict[str, Any]]) -> str:
    rows = [
        f"<tr><td><code>{escape(name)}</code><td>{escape(field['description'])}"
        for name, field in fields.items()
    ]
    return f"<table><tr><th>field<th>meaning{''.join(rows)}</table>"
