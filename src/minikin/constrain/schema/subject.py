"""The owner of a schema, so that an error can name it."""

from __future__ import annotations

import msgspec

from minikin.errors import InvalidRequest

LOOKAROUND = "regex lookaround is not supported"
TOO_COMPLEX = "it needs too much time or memory."


class Unfollowable(InvalidRequest):
    """A valid schema has a condition that answers cannot follow."""

    def __init__(self, error: InvalidRequest) -> None:
        super().__init__(error.message, param=error.param, code=error.code)


class Subject(msgspec.Struct, frozen=True):
    """A response format or a tool."""

    label: str
    """The name in OpenAI's messages: `response_format 'x'`, `function 'f'`."""
    param: str
    code: str | None = None
    kind: str = "schema"

    def fault(self, reason: str) -> InvalidRequest:
        """The error for this invalid schema or grammar."""
        return InvalidRequest(
            f"Invalid {self.kind} for {self.label}: {reason}", param=self.param, code=self.code
        )

    def unfollowable(self, reason: str) -> Unfollowable:
        """The error for a valid schema with an unsupported condition."""
        return Unfollowable(self.fault(reason))

    def lookaround(self, place: str) -> Unfollowable:
        """The error for a look-ahead or look-behind, in OpenAI's words. `place` is a JSON path."""
        message = f"Invalid JSON schema: {LOOKAROUND}. Found at {place}."
        return Unfollowable(InvalidRequest(message, param=self.param, code=self.code))

    def too_complex(self) -> Unfollowable:
        """The error for a schema that needs too much time or memory."""
        return msgspec.structs.replace(self, code="schema_too_complex").unfollowable(TOO_COMPLEX)
