"""What a schema belongs to, so that an error can say where it is."""

from __future__ import annotations

import msgspec

from minikin.errors import InvalidRequest

LOOKAROUND = "regex lookaround is not supported"
TOO_COMPLEX = "it takes too much time or memory to be followed."


class Unfollowable(InvalidRequest):
    """A valid schema says something that answers can't be held to."""

    def __init__(self, error: InvalidRequest) -> None:
        super().__init__(error.message, param=error.param, code=error.code)


class Subject(msgspec.Struct, frozen=True):
    """A response format or a tool."""

    label: str
    """As OpenAI's messages name it: `response_format 'x'`, `function 'f'`."""
    param: str
    code: str | None = None

    def fault(self, reason: str) -> InvalidRequest:
        """The error that refuses this schema."""
        return InvalidRequest(
            f"Invalid schema for {self.label}: {reason}", param=self.param, code=self.code
        )

    def unfollowable(self, reason: str) -> Unfollowable:
        """The error that refuses this schema, which is one, for something that has no grammar."""
        return Unfollowable(self.fault(reason))

    def lookaround(self, place: str) -> Unfollowable:
        """The same for a look-ahead or look-behind, in OpenAI's words. `place` is a JSON path."""
        message = f"Invalid JSON schema: {LOOKAROUND}. Found at {place}."
        return Unfollowable(InvalidRequest(message, param=self.param, code=self.code))

    def too_complex(self) -> Unfollowable:
        """The error that refuses it for what it costs."""
        return msgspec.structs.replace(self, code="schema_too_complex").unfollowable(TOO_COMPLEX)
