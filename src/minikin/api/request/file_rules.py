"""The rules of an upload: its purpose, and when the file expires."""

from __future__ import annotations

from typing import Any

import msgspec

from minikin.api.request.rules import Integer, Object, OneOf, Property
from minikin.errors import InvalidRequest

MAX_FILE_BYTES = 512 * 1024 * 1024
MAX_BATCH_BYTES = 200 * 1024 * 1024
"""Maximum bytes of a file with the purpose batch."""
PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
_NAMED = ("fine-tune", "assistants", "batch", "user_data", "responses", "vision")
"""The purposes that OpenAI's error names."""
BATCH_SECONDS = 30 * 24 * 3600
"""How long files of batches are kept, unless the client says so."""
_SECONDS = Integer(3_600, 2_592_000)
EXPIRES_AFTER = Object(
    {
        "anchor": Property(OneOf(("created_at",)), required=True),
        "seconds": Property(_SECONDS, required=True),
    }
)


class Purpose(msgspec.Struct, frozen=True):
    """What a file is for, with the errors of its own kind that OpenAI gives for it."""

    def check(self, value: Any, path: str) -> str:
        """See Rule."""
        if value not in PURPOSES:
            shown = str(value)[:64]
            raise InvalidRequest(f"'{shown}' is not one of {list(_NAMED)} - '{path}'")
        return value

    @property
    def schema(self) -> dict[str, Any]:
        """See Rule."""
        return {"type": "string", "enum": list(PURPOSES)}

    def __str__(self) -> str:
        return ", ".join(f"`{purpose}`" for purpose in PURPOSES)


UPLOAD = Object(
    {
        "purpose": Property(Purpose(), required=True),
        "expires_after": Property(EXPIRES_AFTER),
    }
)


class NotForBatches(InvalidRequest):
    """A file for batches with another ending than .jsonl. Its body has a second key."""

    def __init__(self) -> None:
        super().__init__("Invalid file format for Batch API. Must be .jsonl")

    def body(self) -> dict[str, dict[str, str | None]]:
        """See MinikinError."""
        return {**super().body(), "detail": {"message": self.message, "code": None}}


class UploadRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of an upload, beside its file."""

    purpose: str
    expires_after: int | None
    """Seconds. None: never."""


def check_upload(fields: dict[str, str], filename: str | None) -> UploadRequest:
    """The request in the fields of a form. Raises InvalidRequest."""
    if filename is None:
        raise _missing("file")
    if "purpose" not in fields:
        raise _missing("purpose")
    body = UPLOAD.check(_nested(fields), "")
    purpose = body["purpose"]
    if purpose == "batch" and not filename.lower().endswith(".jsonl"):
        raise NotForBatches
    default = BATCH_SECONDS if purpose == "batch" else None
    seconds = body["expires_after"]["seconds"] if "expires_after" in body else default
    return UploadRequest(purpose=purpose, expires_after=seconds)


def _missing(name: str) -> InvalidRequest:
    return InvalidRequest(f"'{name}' is a required property")


def _nested(fields: dict[str, str]) -> dict[str, Any]:
    """`{"a[b]": "1"}` as `{"a": {"b": 1}}`: a form has brackets for objects."""
    body: dict[str, Any] = {}
    for name, value in fields.items():
        outer, bracket, inner = name.partition("[")
        number = int(value) if value.isascii() and value.isdigit() and len(value) < 10 else value
        if bracket and inner.endswith("]"):
            there = body.get(outer)
            body[outer] = {**(there if isinstance(there, dict) else {}), inner[:-1]: number}
        else:
            body[name] = value
    return body
