"""The routes of conversations and their items."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from minikin.api.answer.identifiers import ResponseIds, conversation_id
from minikin.api.http.bodies import read_json
from minikin.api.http.http import json_response
from minikin.api.http.lists import Listing, as_entry, large_list
from minikin.api.responses import normal_form
from minikin.api.responses.combinations import only_text
from minikin.api.responses.conversation_rules import ADD, CREATE, MAX_NEW_ITEMS, UPDATE
from minikin.api.responses.messages import Item
from minikin.api.responses.state import kept_items, referenced
from minikin.api.routes.operations import any_object, listing, of_path, operation, taking
from minikin.api.routes.stored_responses import INCLUDE, check_include, check_query
from minikin.api.serving.service import Service
from minikin.store.kept import Conversation

LISTING = Listing()


class Conversations:
    """Create, return, update and delete conversations; add, list, return and remove items."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def create(self, request: Request) -> Response:
        """POST: a new conversation, with its first items. Raises InvalidRequest, NotFound."""
        body = await read_json(request, self._service, partial(CREATE.check, path=""))
        conversation = Conversation(
            id=conversation_id(),
            owner=request.state.owner,
            created_at=int(time.time()),
            metadata=body.get("metadata") or {},
        )
        await self._service.store.conversations.add(conversation, await self._items(request, body))
        return json_response(_body(conversation))

    async def one(self, request: Request) -> Response:
        """GET: one conversation. Raises NotFound."""
        return json_response(_body(await self._find(request)))

    async def update(self, request: Request) -> Response:
        """POST: new metadata for a conversation. Raises InvalidRequest, NotFound."""
        body = await read_json(request, self._service, partial(UPDATE.check, path=""))
        await self._service.store.conversations.set_metadata(
            *_place(request), body["metadata"] or {}
        )
        return await self.one(request)

    async def delete(self, request: Request) -> Response:
        """DELETE: delete a conversation, but not its items. Raises NotFound."""
        owner, identifier = _place(request)
        await self._service.store.conversations.delete(owner, identifier)
        return json_response({"id": identifier, "object": "conversation.deleted", "deleted": True})

    async def add(self, request: Request) -> Response:
        """POST: append items. Raises InvalidRequest, NotFound."""
        check_query(request, INCLUDE)
        body = await read_json(request, self._service, partial(ADD.check, path=""))
        await self._find(request)
        items = await self._items(request, body)
        await self._service.store.conversations.append(*_place(request), items)
        return await large_list(items, LISTING.page(request.query_params, INCLUDE), as_entry)

    async def items(self, request: Request) -> Response:
        """GET: a page of its items, newest first by default. Raises NotFound."""
        page = LISTING.page(request.query_params, INCLUDE)
        check_include(request)
        found = await self._service.store.conversations.page(*_place(request), page)
        return await large_list(found, page, lambda entry: entry)

    async def item(self, request: Request) -> Response:
        """GET: one of its items. Raises NotFound."""
        check_query(request, INCLUDE)
        item = request.path_params["item"]
        return json_response(await self._service.store.conversations.item(*_place(request), item))

    async def remove(self, request: Request) -> Response:
        """DELETE: take an item out of the conversation. Raises NotFound."""
        await self._service.store.conversations.remove_item(
            *_place(request), request.path_params["item"]
        )
        return await self.one(request)

    async def _items(self, request: Request, body: dict[str, Any]) -> list[Item]:
        """The new items as the store has them, with those that the body refers to."""
        given = normal_form.items(body.get("items") or [])
        only_text(given, "items")
        found = await referenced(given, self._service.store, request.state.owner, param="items")
        return kept_items(found, ResponseIds())

    async def _find(self, request: Request) -> Conversation:
        return await self._service.store.conversations.get(*_place(request))


def _place(request: Request) -> tuple[str, str]:
    return request.state.owner, request.path_params["id"]


def _body(conversation: Conversation) -> dict[str, Any]:
    return {
        "id": conversation.id,
        "object": "conversation",
        "created_at": conversation.created_at,
        "metadata": conversation.metadata,
    }


def paths() -> dict[str, Any]:
    """The routes of this module, for the OpenAPI document."""
    one = "/v1/conversations/{id}"
    item = f"{one}/items/{{item}}"
    return {
        "/v1/conversations": {"post": taking(CREATE.schema, "Begin a conversation", None, 404)},
        one: {
            "get": of_path("id", operation("Return a conversation", any_object(), 404)),
            "post": of_path("id", taking(UPDATE.schema, "Replace its metadata", None, 404)),
            "delete": of_path("id", operation("Delete a conversation", any_object(), 404)),
        },
        f"{one}/items": {
            "get": of_path("id", listing("List its items", LISTING, {}, 404)),
            "post": of_path(
                "id", taking(ADD.schema, f"Append up to {MAX_NEW_ITEMS} items", None, 404)
            ),
        },
        item: {
            "get": _of_item(operation("Return an item", any_object(), 400, 404)),
            "delete": _of_item(operation("Take an item out", any_object(), 404)),
        },
    }


def _of_item(described: dict[str, Any]) -> dict[str, Any]:
    return of_path("id", of_path("item", described))
