"""Forms with a file (multipart/form-data), whose content goes to its place while it arrives."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from minikin.api.http.http import TransportFault, arrival
from minikin.errors import InvalidRequest

# It logs every form that is broken, and a client could fill the log with that.
logging.getLogger("python_multipart").setLevel(logging.ERROR)

MAX_FIELDS = 16
MAX_FIELD_BYTES = 4_096
MAX_FILENAME = 512
IDLE_SECONDS = 60.0
"""Maximum time between two parts of a body."""
UPLOAD_SECONDS = 3_600.0
"""Maximum time of an upload."""
_BROKEN = "The body of the request is not valid multipart/form-data."


class Form:
    """The fields of a form, in the order in which they arrive, and the name of its file."""

    def __init__(self, max_file_bytes: int) -> None:
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        self._max_file_bytes = max_file_bytes
        self._file_bytes = 0
        self._name = ""
        self._is_file = False
        self._value = b""
        self._header = [b"", b""]
        self._disposition = b""
        self._content: list[bytes] = []
        self.is_complete = False

    def take_content(self) -> bytes:
        """The part of the file that has arrived since the last call."""
        content = b"".join(self._content)
        self._content.clear()
        return content

    def on_part_begin(self) -> None:
        """Called by the parser."""
        self._header, self._disposition, self._value = [b"", b""], b"", b""

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        """Called by the parser."""
        self._header[0] += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        """Called by the parser."""
        self._header[1] += data[start:end]

    def on_header_end(self) -> None:
        """Called by the parser."""
        name, value = self._header
        if name.lower() == b"content-disposition":
            self._disposition = value
        self._header = [b"", b""]

    def on_headers_finished(self) -> None:
        """Called by the parser."""
        kind, options = parse_options_header(self._disposition)
        if kind != b"form-data" or b"name" not in options:
            raise InvalidRequest(_BROKEN)
        self._name = options[b"name"].decode(errors="replace")
        if self._name in self.fields or (self._name == "file" and self.filename is not None):
            raise InvalidRequest(f"The form has two parts '{self._name[:64]}'.")
        self._is_file = self._name == "file" and b"filename" in options
        if self._is_file:
            self.filename = options[b"filename"].decode(errors="replace")[:MAX_FILENAME]
        elif len(self.fields) >= MAX_FIELDS:
            raise InvalidRequest(f"The form has more than {MAX_FIELDS} fields.")

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """Called by the parser."""
        if self._is_file:
            self._file_bytes += end - start
            if self._file_bytes > self._max_file_bytes:
                raise file_too_large(self._max_file_bytes)
            self._content.append(data[start:end])
        elif len(self._value) + end - start > MAX_FIELD_BYTES:
            raise InvalidRequest(f"The field '{self._name[:64]}' is too long.")
        else:
            self._value += data[start:end]

    def on_part_end(self) -> None:
        """Called by the parser."""
        if not self._is_file:
            self.fields[self._name] = self._value.decode(errors="replace")

    def on_end(self) -> None:
        """Called by the parser."""
        self.is_complete = True


async def read_form(
    request: Request, form: Form, write: Callable[[bytes], Awaitable[None]]
) -> None:
    """Fill `form` from the request's body, and pass the content of its file to `write`.

    Raises TransportFault and InvalidRequest.
    """
    boundary = _boundary(request)
    try:
        parser = MultipartParser(boundary, _callbacks(form))
        with arrival():
            async with asyncio.timeout(UPLOAD_SECONDS), asyncio.timeout(IDLE_SECONDS) as idle:
                async for chunk in request.stream():
                    parser.write(chunk)
                    if content := form.take_content():
                        await write(content)
                    idle.reschedule(asyncio.get_running_loop().time() + IDLE_SECONDS)
    except FormParserError:
        raise InvalidRequest(_BROKEN) from None
    if not form.is_complete:
        raise InvalidRequest(_BROKEN)


def file_too_large(limit: int) -> TransportFault:
    """The error for a file of more than `limit` bytes."""
    return TransportFault(413, f"The file is larger than {limit} bytes.", code="request_too_large")


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise TransportFault(
            415,
            "Unsupported media type: send the file as 'Content-Type: multipart/form-data'.",
            code="unsupported_media_type",
        )
    return options[b"boundary"]


def _callbacks(form: Form) -> Any:
    return {name: getattr(form, name) for name in dir(form) if name.startswith("on_")}
