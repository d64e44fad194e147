"""The input of a grammar: the schemas from the client, and the format of calls."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from minikin.constrain.schema.subject import Subject
from minikin.marks import Elements

MAX_SCHEMA_BYTES = 256 * 1024

Schema = dict[str, Any]


class CallFrame(msgspec.Struct, frozen=True):
    """How a model writes a tool call. See `chat.call_formats.CallFormat`."""

    begin: str
    """The start of a call. The grammar applies from here on."""
    before_name: str
    before_arguments: str
    end: str
    again: str
    """The text before each further call."""
    close: str
    """The text after the last call."""
    elements: Elements | None = None
    """The marks around each argument, if they are elements."""
    keywords: bool = False
    """Whether arguments are written as in Python. Otherwise they are elements or an object."""
    bare: bool = False
    """Whether the names in that object have no quotes."""
    marks: dict[str, int] = {}
    """Parts of these texts that are one token -> its id."""


class ThoughtFrame(msgspec.Struct, frozen=True):
    """The marks around a model's reasoning. See `chat.thoughts.ThoughtMarks`."""

    begin: str
    end: str
    begun: bool
    """Whether the answer starts inside reasoning. If not, the model can start it."""


class SchemaPart(msgspec.Struct, frozen=True):
    """One schema: of an answer, or of a function's arguments."""

    subject: Subject
    schema: Schema | None
    """None: any JSON object."""
    strict: bool = False
    function: str = ""
    loose: bool = False
    """Whether what can't be followed is left out; else it is refused."""
    lark: str = ""
    """The Lark grammar of the input of a custom tool, which the model writes as it is, from the
    start of the arguments' only string to the end of the answer. Empty: the schema counts."""

    texts: frozenset[str] | None = None
    """The parameters whose values are text without quotes, if each argument is written alone. None:
    the arguments are a JSON object."""

    def check_size(self) -> SchemaPart:
        """This part. Raises InvalidRequest if its schema is too large or not JSON."""
        try:
            size = len(json.dumps((self.schema, self.lark), allow_nan=False))
        except ValueError as error:
            raise self.subject.fault("it has a number that is out of range.") from error
        if size > MAX_SCHEMA_BYTES:
            reason = f"it has {size} bytes, at most {MAX_SCHEMA_BYTES} are allowed."
            raise self.subject.fault(reason)
        return self


class Plan(msgspec.Struct, frozen=True):
    """An answer, calls of functions, or both as alternatives."""

    answer: SchemaPart | None = None
    """A JSON answer instead of calls. None: free text, before or instead of calls."""
    functions: tuple[SchemaPart, ...] = ()
    calls: CallFrame | None = None
    """How the functions are called."""
    several: bool = False
    """Whether one answer can have several calls."""
    may_answer: bool = True
    """Whether an answer without a call is allowed."""
    channels: dict[str, int] = {}
    """Text -> id of the tokens that mark messages, for a model that answers in channels."""
    thoughts: ThoughtFrame | None = None
    """The reasoning before content and calls. It contains neither."""

    @property
    def parts(self) -> tuple[SchemaPart, ...]:
        """All schemas."""
        return (*((self.answer,) if self.answer else ()), *self.functions)

    def with_parts(self, parts: Sequence[SchemaPart]) -> Plan:
        """The same with other schemas, in the order of `parts`."""
        answer = parts[0] if self.answer else None
        functions = tuple(parts[1:] if self.answer else parts)
        return msgspec.structs.replace(self, answer=answer, functions=functions)


class Watched(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the JSON of an answer is, for what a grammar can't rule out; see `watch.py`."""

    begins: tuple[str, ...] = ("",)
    """Texts that it begins with, or what frames it. Empty: it is there from the beginning."""
    call: str = ""
    """What a call begins with."""
    head: str = ""
    """The text between a call's name and its arguments. Empty: there are no calls."""
    marks: dict[str, int] = {}
    """Texts that are one token each -> its id."""
    thoughts: ThoughtFrame | None = None
    """What may come before, and holds none."""
    ends: tuple[str, ...] = ()
    """Texts that it ends with. Raw text follows."""


class Constraint(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that an answer is held to, as it goes to the engine: as one text."""

    grammar: str
    """What llguidance reads."""
    watched: Watched = Watched()

    def __str__(self) -> str:
        return msgspec.json.encode(self).decode()

    @classmethod
    def read(cls, text: str) -> Constraint:
        """The constraint that `text` is made of."""
        return msgspec.json.decode(text, type=cls)
