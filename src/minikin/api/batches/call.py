"""Runs one line of a batch: a call of the endpoint's own route, without HTTP around it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Protocol

import msgspec
from starlette.types import Message, Receive, Scope, Send

from minikin.api.answer.identifiers import LineIds, request_id
from minikin.api.http.bodies import decode_json
from minikin.api.http.http import FAULT
from minikin.errors import EngineFailure, InvalidRequest, MinikinError

log = logging.getLogger(__name__)

_FINAL = ("request_quarantined", "model_load_failed", "template_error")
"""Failures of the server that another try would not change."""


class Endpoint(Protocol):
    """A route that answers lines."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. `scope["state"]` has the `line_ids` for the answer."""
        ...

    async def stored(self, owner: str, ids: LineIds) -> dict[str, Any] | None:
        """The answer with these ids, if an earlier run of the line stored it."""
        ...


class Answer(msgspec.Struct, frozen=True):
    """The answer of a route, as it is in the results of a batch."""

    status_code: int
    request_id: str
    body: dict[str, Any]

    @property
    def is_final(self) -> bool:
        """Whether another try would give the same answer."""
        return self.status_code < 500 or self.body["error"]["code"] in _FINAL

    @property
    def is_overload(self) -> bool:
        """Whether the server did not begin."""
        return self.status_code == 503


async def call(endpoint: Endpoint, owner: str, content: bytes, ids: LineIds) -> Answer:
    """Call a route with this JSON body."""
    identifier = request_id()
    try:
        _check(content)
        status, body = await _called(endpoint, owner, identifier, content, ids)
    except MinikinError as error:
        status, body = error.status, error.body()
    except Exception:
        log.exception("Request %s of a batch failed", identifier)
        status, body = 500, EngineFailure(FAULT).body()
    return Answer(status, identifier, body)


def _check(content: bytes) -> None:
    """Raise InvalidRequest for what an endpoint supports and a batch does not."""
    fields = msgspec.json.decode(content, type=dict[str, msgspec.Raw])  # its route decodes them
    for name in ("stream", "background"):
        if bytes(fields.get(name, b"")) == b"true":
            raise InvalidRequest(f"The Batch API does not support '{name}'.", param=name)


async def _called(
    endpoint: Endpoint, owner: str, identifier: str, content: bytes, ids: LineIds
) -> tuple[int, dict[str, Any]]:
    scope = {
        "type": "http",
        "method": "POST",
        "path": "",
        "query_string": b"",
        "headers": [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(content)).encode()),
        ],
        "state": {"owner": owner, "request_id": identifier, "line_ids": ids},
    }
    requests: list[Message] = [{"type": "http.request", "body": content, "more_body": False}]
    status, parts = 500, []

    async def receive() -> Message:
        if not requests:
            await asyncio.Event().wait()  # this client never leaves
        return requests.pop()

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            parts.append(message.get("body", b""))

    await endpoint(scope, receive, send)
    return status, decode_json(b"".join(parts))
