"""The routes for completions that are stored with `store: true`."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from minikin.api.answer.identifiers import reported_model
from minikin.api.http.bodies import read_json
from minikin.api.http.http import json_response
from minikin.api.http.lists import Listing, large_list, listed, part_of
from minikin.api.request.parameter_rules import Metadata
from minikin.api.request.rules import Nullable, Object, Property
from minikin.api.serving.service import Service
from minikin.errors import NotFound
from minikin.store.kept import Entry, Filter, ListedCompletion, Page, StoredCompletion

LISTING = Listing(order="asc")
UPDATE = Object({"metadata": Property(Nullable(Metadata()), required=True)})
_METADATA_FILTER = re.compile(r"metadata\[(.+)\]")


class StoredCompletions:
    """List, return, update and delete completions, and list their messages."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def all(self, request: Request) -> Response:
        """GET: a page of the completions, oldest first by default."""
        page, only = _query(request)
        found, page = await self._service.store.completions.find(request.state.owner, page, only)
        return await large_list(found, page, _entry)

    async def one(self, request: Request) -> Response:
        """GET: one completion. Raises NotFound."""
        return json_response((await self._find(request)).answer)

    async def update(self, request: Request) -> Response:
        """POST: new metadata for a completion. Raises InvalidRequest, NotFound."""
        body = await read_json(request, self._service, partial(UPDATE.check, path=""))
        stored = await self._find(request)
        await self._service.store.completions.set_metadata(
            stored.owner, stored.id, body["metadata"] or {}
        )
        return await self.one(request)

    async def delete(self, request: Request) -> Response:
        """DELETE: delete a completion. Raises NotFound."""
        stored = await self._find(request)
        await self._service.store.completions.delete(stored.owner, stored.id)
        return json_response(
            {"object": "chat.completion.deleted", "id": stored.id, "deleted": True}
        )

    async def messages(self, request: Request) -> Response:
        """GET: a page of the messages of a completion. Raises NotFound."""
        stored = await self._find(request)
        page, _ = _query(request)
        messages = [_message(stored.id, at, sent) for at, sent in enumerate(stored.messages)]
        return json_response(listed(part_of(messages, page), page))

    async def _find(self, request: Request) -> StoredCompletion:
        identifier = request.path_params["id"]
        stored = await self._service.store.completions.get(request.state.owner, identifier)
        if stored is None:
            raise NotFound(f"No chat completion found with id '{identifier[:64]}'.")
        return stored


def _query(request: Request) -> tuple[Page, Filter]:
    """The query string. Raises InvalidRequest."""
    query = request.query_params
    matches = {key: _METADATA_FILTER.fullmatch(key) for key in query}
    pairs = {match[1]: query[key] for key, match in matches.items() if match}
    page = LISTING.page(query, ("model", *(key for key, match in matches.items() if match)))
    model = reported_model(query["model"]) if "model" in query else None
    return page, Filter(model=model, metadata=Metadata().check(pairs, "metadata"))


def _entry(found: ListedCompletion) -> Entry:
    return Entry(id=found.id, body=found.answer)


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
