"""What responses take from the store, and what they leave in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from minikin.api.answer.identifiers import ResponseIds
from minikin.api.responses.combinations import no_prompt, one_context
from minikin.api.responses.messages import Item
from minikin.api.responses.translate import Body, ResponseRequest
from minikin.api.responses.wire import Response
from minikin.errors import InvalidRequest, MinikinError, NotFound
from minikin.store.kept import KEPT_SECONDS, StoredResponse

if TYPE_CHECKING:
    from minikin.store.store import Store

BILLING = {"payer": "developer"}
"""Who pays for a response that ended, as OpenAI's JSON answers have it."""
_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
}
_RUNNING = ("queued", "in_progress")


async def gathered(body: Body, store: Store, owner: str) -> tuple[list[Item], list[Item]]:
    """The items before the input of `body`, and those of its input, for `Body.with_context`.

    Raises NotFound or InvalidRequest if `owner` has no such context or item.
    """
    context = await _context(body, store, owner)
    is_stored = body.values.get("store", True)
    return context, await referenced(body.input, store, owner, is_stored=is_stored)


async def referenced(
    given: list[Item], store: Store, owner: str, *, param: str = "input", is_stored: bool = True
) -> list[Item]:
    """The items, with stored ones in the place of references to them. Raises NotFound."""
    wanted = [item["id"] for item in given if item["type"] == "item_reference"]
    found = await store.items.get(owner, wanted)
    for identifier in wanted:
        if identifier not in found:
            raise _no_item(identifier, param, stored=is_stored)
    return [found[i["id"]] if i["type"] == "item_reference" else i for i in given]


async def _context(body: Body, store: Store, owner: str) -> list[Item]:
    """The items before the input."""
    one_context(body.values)
    context: list[Item] = []
    if conversation := body.conversation:
        context = await store.conversations.items(owner, conversation)
    no_prompt(body.values)
    if previous := body.values.get("previous_response_id"):
        parent = await store.responses.get(owner, previous)
        if parent is None or parent.body["status"] in _RUNNING:
            raise _no_parent(previous, running=parent is not None)
        context = [*parent.context, *parent.body["output"]]
    return context


def kept_items(items: list[Item], ids: ResponseIds) -> list[Item]:
    """Items of an input as the store has them: with an id, a status and their parts."""
    return [_kept(item, ids) for item in items]


def stored(
    request: ResponseRequest,
    response: Response,
    items: list[Item],
    owner: str,
    again: dict[str, Any] | None = None,
) -> StoredResponse:
    """What the store keeps of a response.

    `items` are the `kept_items` of its input, `again` is the body to run again after a restart.
    """
    return StoredResponse(
        id=response.id,
        owner=owner,
        created_at=response.created_at,
        expires_at=response.created_at + KEPT_SECONDS,
        body=msgspec.to_builtins(response),
        context=[*request.context, *items],
        request=again,
    )


def failed(response: StoredResponse, error: MinikinError) -> StoredResponse:
    """A stored response that cannot run again."""
    reason = {"code": "server_error", "message": error.message}
    body = response.body | {"status": "failed", "error": reason, "service_tier": "default"}
    return replace(response, body=body, request=None)


def cancelled(response: StoredResponse) -> StoredResponse:
    """A stored response that has not ended, cancelled."""
    body = response.body | {"status": "cancelled", "service_tier": "default"}
    return replace(response, body=body, request=None)


def in_full(body: dict[str, Any]) -> dict[str, Any]:
    """A response as a JSON answer has it: with the payer after its end."""
    if body["status"] in _RUNNING:
        return body
    names = list(body)
    at = names.index("background") + 1
    head = {name: body[name] for name in names[:at]}
    return {**head, "billing": BILLING, **{name: body[name] for name in names[at:]}}


def _kept(item: Item, ids: ResponseIds) -> Item:
    kind = item["type"]
    if kind not in _PREFIXES:
        return item if item.get("id") else item | {"id": ids.item("rs")}
    known = {"id": item.get("id") or ids.item(_PREFIXES[kind]), "type": kind}
    status = item.get("status") or "completed"
    rest = {k: v for k, v in item.items() if k not in ("id", "type", "status")}
    if kind == "message" and isinstance(item["content"], str):
        part = "output_text" if item["role"] == "assistant" else "input_text"
        rest["content"] = [{"type": part, "text": item["content"]}]
    return {**known, "status": status, **rest}


def _no_item(identifier: str, param: str, *, stored: bool) -> NotFound:
    reason = (
        ""
        if stored
        else " Items are not persisted when `store` is set to false. Try again with `store` set to "
        "true, or remove this item from your input."
    )
    return NotFound(f"Item with id '{identifier[:64]}' not found.{reason}", param=param)


def _no_parent(identifier: str, *, running: bool) -> InvalidRequest:
    if running:
        return InvalidRequest(
            f"Previous response with id '{identifier}' has not ended yet.",
            param="previous_response_id",
        )
    return InvalidRequest(
        f"Previous response with id '{identifier}' not found.",
        param="previous_response_id",
        code="previous_response_not_found",
    )
