"""What a schema belongs to, so that an error can say where it is."""

from __future__ import annotations

import msgspec

from minikin.errors import InvalidRequest

TOO_COMPLEX = "it takes too much time or memory to be followed."


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

    def too_complex(self) -> InvalidRequest:
        """The error that refuses it for what it costs."""
        return msgspec.structs.replace(self, code="schema_too_complex").fault(TOO_COMPLEX)
