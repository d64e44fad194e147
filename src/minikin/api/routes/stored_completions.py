"""The routes for completions that are stored with `store: true`."""

from __future__ import annotations

import re
from typing import Any, get_args

from starlette.requests import Request
from starlette.responses import Response

from minikin.api.answer.identifiers import reported_model
from minikin.api.http.http import json_response, read_json
from minikin.api.request import faults
from minikin.api.request.parameter_rules import Metadata
from minikin.api.request.rules import Integer, Nullable, Object, OneOf, Property
from minikin.api.serving.service import Service
from minikin.errors import NotFound
from minikin.store.completions import Filter, StoredCompletion
from minikin.store.paging import Order, Page

LIMIT = Integer(1, 100)
ORDER = OneOf(get_args(Order))
UPDATE = Object({"metadata": Property(Nullable(Metadata()), required=True)})
_METADATA_FILTER = re.compile(r"metadata\[(.+)\]")


class StoredCompletions:
    """List, return, update and delete completions, and list their messages."""

    def __init__(self, service: Service) -> None:
        self._store = service.store.completions
        self._max_bytes = service.settings.max_body_bytes

    async def all(self, request: Request) -> Response:
        """GET: a page of the completions, oldest first by default."""
        page, only = _query(request)
        found = await self._store.find(request.state.owner, page, only)
        data = [_body(stored) for stored in found[: page.limit]]
        return json_response(_page(data, has_more=len(found) > page.limit))

    async def one(self, request: Request) -> Response:
        """GET: one completion. Raises NotFound."""
        return json_response(_body(await self._find(request)))

    async def update(self, request: Request) -> Response:
        """POST: new metadata for a completion. Raises InvalidRequest, NotFound."""
        body = UPDATE.check(await read_json(request, self._max_bytes), "")
        stored = await self._find(request)
        await self._store.set_metadata(stored.owner, stored.id, body["metadata"] or {})
        return await self.one(request)

    async def delete(self, request: Request) -> Response:
        """DELETE: delete a completion. Raises NotFound."""
        stored = await self._find(request)
        await self._store.delete(stored.owner, stored.id)
        return json_response(
            {"object": "chat.completion.deleted", "id": stored.id, "deleted": True}
        )

    async def messages(self, request: Request) -> Response:
        """GET: a page of the messages of a completion. Raises NotFound."""
        stored = await self._find(request)
        page, _ = _query(request)
        messages = [_message(stored.id, at, sent) for at, sent in enumerate(stored.messages)]
        if page.order == "desc":
            messages.reverse()
        ids = [message["id"] for message in messages]
        if page.after in ids:
            messages = messages[ids.index(page.after) + 1 :]
        data = messages[: page.limit]
        return json_response(_page(data, has_more=len(messages) > page.limit))

    async def _find(self, request: Request) -> StoredCompletion:
        identifier = request.path_params["id"]
        stored = await self._store.get(request.state.owner, identifier)
        if stored is None:
            raise NotFound(f"No chat completion found with id '{identifier[:64]}'.")
        return stored


def _query(request: Request) -> tuple[Page, Filter]:
    """The query string. Raises InvalidRequest."""
    params = request.query_params
    limit = params.get("limit", "20")
    number = int(limit) if re.fullmatch(r"-?[0-9]{1,9}", limit) else limit
    filters: dict[str, str] = {}
    for key, value in params.items():
        if match := _METADATA_FILTER.fullmatch(key):
            filters[match[1]] = value
        elif key not in ("after", "limit", "order", "model"):
            raise faults.unknown(key[:64])
    page = Page(
        after=params.get("after"),
        limit=LIMIT.check(number, "limit"),
        order=ORDER.check(params.get("order", "asc"), "order"),
    )
    model = reported_model(params["model"]) if "model" in params else None
    return page, Filter(model=model, metadata=Metadata().check(filters, "metadata"))


def _body(stored: StoredCompletion) -> dict[str, Any]:
    return {**stored.body, "metadata": stored.metadata}


def _message(identifier: str, at: int, sent: dict[str, Any]) -> dict[str, Any]:
    """A message in OpenAI's list format: text in `content`, parts in `content_parts`."""
    content = sent.get("content")
    parts = content if isinstance(content, list) else None
    return {
        **sent,
        "id": f"{identifier}-{at}",
        "content": None if parts else content,
        "name": sent.get("name"),
        "content_parts": parts,
    }


def _page(data: list[dict[str, Any]], *, has_more: bool) -> dict[str, Any]:
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": has_more,
    }
