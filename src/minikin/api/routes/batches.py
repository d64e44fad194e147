"""The routes of batches: create, list, return and cancel."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from minikin.api.answer.identifiers import batch_id
from minikin.api.batches.runner import BatchRunner
from minikin.api.http.bodies import read_json
from minikin.api.http.http import json_response
from minikin.api.http.lists import Listing, listed
from minikin.api.request.batch_rules import BATCH
from minikin.api.request.file_rules import BATCH_SECONDS
from minikin.api.routes.operations import any_object, listing, of_path, operation, taking
from minikin.api.serving.service import Service
from minikin.errors import InvalidRequest, NotFound
from minikin.store.kept import StoredBatch

LISTING = Listing()
WINDOW_SECONDS = 24 * 3600
_CANCELLABLE = ("validating", "in_progress")


class Batches:
    """Create, list, return and cancel batches. `runner` runs them."""

    def __init__(self, service: Service, runner: BatchRunner) -> None:
        self._service = service
        self._runner = runner

    async def create(self, request: Request) -> Response:
        """POST: a new batch. Errors of its lines appear later. Raises InvalidRequest, NotFound."""
        body = await read_json(request, self._service, partial(BATCH.check, path=""))
        await self._check_file(request.state.owner, body["input_file_id"])
        expires_after = (body.get("output_expires_after") or {}).get("seconds", BATCH_SECONDS)
        batch = StoredBatch(
            id=batch_id(),
            owner=request.state.owner,
            body={},
            options={"expires_after": expires_after},
        )
        batch.body.update(_new(batch.id, body))
        await self._service.store.batches.add(batch)
        self._runner.wake()
        return json_response(batch.body)

    async def all(self, request: Request) -> Response:
        """GET: a page of the batches, newest first by default."""
        page = LISTING.page(request.query_params)
        found = await self._service.store.batches.find(request.state.owner, page)
        return json_response(listed([batch.body for batch in found], page))

    async def one(self, request: Request) -> Response:
        """GET: one batch. Raises NotFound."""
        return json_response((await self._find(request)).body)

    async def cancel(self, request: Request) -> Response:
        """POST: end a batch with what is done. Raises NotFound, InvalidRequest."""
        batch = await self._find(request)
        body = await self._service.store.batches.change(batch.id, _cancelling)
        if body["status"] != "cancelling":
            raise InvalidRequest(f"Cannot cancel a batch with status '{body['status']}'.")
        self._runner.wake()
        return json_response((await self._find(request)).body)

    async def _find(self, request: Request) -> StoredBatch:
        return await self._service.store.batches.get(request.state.owner, request.path_params["id"])

    async def _check_file(self, owner: str, identifier: str) -> None:
        try:
            file = await self._service.store.files.get(owner, identifier)
        except NotFound as error:
            raise NotFound(error.message, param="input_file_id") from None
        if file.purpose != "batch":
            raise InvalidRequest(
                f"The purpose of the file '{file.id}' is '{file.purpose}'. It must be 'batch'.",
                param="input_file_id",
                code="invalid_value",
            )


def _new(identifier: str, body: dict[str, Any]) -> dict[str, Any]:
    """The object of a new batch, with the keys in OpenAI's order."""
    now = int(time.time())
    details = {"cached_tokens": 0}, {"reasoning_tokens": 0}
    return {
        "id": identifier,
        "object": "batch",
        "endpoint": body["endpoint"],
        "model": None,
        "errors": None,
        "input_file_id": body["input_file_id"],
        "completion_window": body["completion_window"],
        "status": "validating",
        "output_file_id": None,
        "error_file_id": None,
        "created_at": now,
        "in_progress_at": None,
        "expires_at": now + WINDOW_SECONDS,
        "finalizing_at": None,
        "completed_at": None,
        "failed_at": None,
        "expired_at": None,
        "cancelling_at": None,
        "cancelled_at": None,
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
        "usage": {
            "input_tokens": 0,
            "input_tokens_details": details[0],
            "output_tokens": 0,
            "output_tokens_details": details[1],
            "total_tokens": 0,
        },
        "metadata": body.get("metadata"),
    }


def _cancelling(body: dict[str, Any]) -> dict[str, Any] | None:
    if body["status"] not in _CANCELLABLE:
        return None
    return body | {"status": "cancelling", "cancelling_at": int(time.time())}


def paths() -> dict[str, Any]:
    """The path items of the OpenAPI document."""
    one = "/v1/batches/{id}"
    return {
        "/v1/batches": {
            "post": taking(BATCH.schema, "Run the lines of a file", None, 404),
            "get": listing("List the batches", LISTING, {}),
        },
        one: {"get": of_path("id", operation("Return a batch", any_object(), 404))},
        f"{one}/cancel": {
            "post": of_path("id", operation("Cancel a batch", any_object(), 400, 404))
        },
    }
