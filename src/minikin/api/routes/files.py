"""The routes of files: upload, list, return, download and delete."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from minikin.api.answer.identifiers import file_id
from minikin.api.http.http import WRITE_SECONDS, json_response
from minikin.api.http.lists import Listing, listed
from minikin.api.http.upload import Form, file_too_large, read_form
from minikin.api.request.file_rules import (
    MAX_BATCH_BYTES,
    MAX_FILE_BYTES,
    Purpose,
    check_upload,
)
from minikin.api.request.rules import Integer
from minikin.api.routes.operations import (
    any_object,
    listing,
    of_path,
    operation,
)
from minikin.api.serving.service import Service
from minikin.errors import InvalidRequest
from minikin.store.kept import StoredFile

if TYPE_CHECKING:
    from minikin.store.files import Files as StoredFiles

LISTING = Listing(limit=Integer(1, 10_000), default_limit=10_000)
NO_DOWNLOAD = ("assistants", "user_data")
"""Purposes whose files OpenAI does not return."""


class Files:
    """Upload, list, return, download and delete files."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def upload(self, request: Request) -> Response:
        """POST: a form with a file and its purpose, in any order. Raises InvalidRequest."""
        owner, identifier = request.state.owner, file_id()
        form = Form(MAX_FILE_BYTES)
        with self._service.upload():
            async with self._service.store.files.draft(owner, identifier) as writer:
                await read_form(request, form, writer.write)
                wanted = check_upload(form.fields, form.filename)
                if wanted.purpose == "batch" and writer.size > MAX_BATCH_BYTES:
                    raise file_too_large(MAX_BATCH_BYTES)
            now = int(time.time())
            file = StoredFile(
                id=identifier,
                owner=owner,
                purpose=wanted.purpose,
                filename=form.filename or "",
                bytes=writer.size,
                created_at=now,
                expires_at=now + wanted.expires_after if wanted.expires_after else None,
            )
            await self._service.store.files.publish(file)
        return json_response(_body(file))

    async def all(self, request: Request) -> Response:
        """GET: a page of the files, newest first by default."""
        query = request.query_params
        page = LISTING.page(query, ("purpose",))
        found = await self._service.store.files.find(
            request.state.owner, page, query.get("purpose")
        )
        return json_response(listed([_body(file) for file in found], page))

    async def one(self, request: Request) -> Response:
        """GET: one file. Raises NotFound."""
        return json_response(_body(await self._find(request)))

    async def content(self, request: Request) -> Response:
        """GET: the content of a file. Raises NotFound, InvalidRequest."""
        file = await self._find(request)
        if file.purpose in NO_DOWNLOAD:
            raise InvalidRequest(f"Not allowed to download files of purpose: {file.purpose}")
        return _Content(file, self._service.store.files)

    async def delete(self, request: Request) -> Response:
        """DELETE: delete a file. Raises NotFound."""
        identifier = request.path_params["id"]
        await self._service.store.files.delete(request.state.owner, identifier)
        return json_response({"object": "file", "deleted": True, "id": identifier})

    async def _find(self, request: Request) -> StoredFile:
        return await self._service.store.files.get(request.state.owner, request.path_params["id"])


class _Content(Response):
    """A file's content, read while it is sent. A client that stops reading loses it."""

    media_type = "application/octet-stream"

    def __init__(self, file: StoredFile, files: StoredFiles) -> None:
        super().__init__(headers={"content-length": str(file.bytes)})
        self._chunks = files.content(file.id)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the content."""
        async with aclosing(self._chunks) as chunks:
            first = await anext(chunks, b"")
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await _send(first, send)
            try:
                async for chunk in chunks:
                    await _send(chunk, send)
            except TimeoutError:
                return
        await send({"type": "http.response.body", "body": b""})


async def _send(chunk: bytes, send: Send) -> None:
    async with asyncio.timeout(WRITE_SECONDS):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})


def _body(file: StoredFile) -> dict[str, Any]:
    return {
        "object": "file",
        "id": file.id,
        "purpose": file.purpose,
        "filename": file.filename,
        "bytes": file.bytes,
        "created_at": file.created_at,
        "expires_at": file.expires_at,
        "status": "processed",
        "status_details": None,
    }


def paths() -> dict[str, Any]:
    """The path items of the OpenAPI document."""
    one, content = "/v1/files/{id}", operation("Return the content of a file", any_object(), 404)
    content["responses"]["200"]["content"] = {"application/octet-stream": {}}
    return {
        "/v1/files": {
            "post": _upload(),
            "get": listing("List the files", LISTING, {"purpose": {"type": "string"}}),
        },
        one: {
            "get": of_path("id", operation("Return a file", any_object(), 404)),
            "delete": of_path("id", operation("Delete a file", any_object(), 404)),
        },
        f"{one}/content": {"get": of_path("id", content)},
    }


def _upload() -> dict[str, Any]:
    upload = operation("Upload a file", any_object(), 400, 408, 413, 415, 503)
    seconds = {"type": "integer", "minimum": 3600, "maximum": 2592000}
    form = {
        "type": "object",
        "required": ["file", "purpose"],
        "additionalProperties": False,
        "properties": {
            "file": {"type": "string", "format": "binary"},
            "purpose": Purpose().schema,
            "expires_after[anchor]": {"type": "string", "enum": ["created_at"]},
            "expires_after[seconds]": seconds,
        },
    }
    upload["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": form}}}
    return upload
