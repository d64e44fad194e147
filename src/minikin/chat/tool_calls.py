"""Finds tool calls in an answer that arrives in pieces."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from types import MappingProxyType

import msgspec

from minikin.chat import elements, keywords
from minikin.chat.argument_reader import ArgumentReader, overlap
from minikin.chat.bare import BareReader
from minikin.chat.call_formats import CallFormat

MAX_NAME = 64
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_AFTER_NAME = re.compile(r"[^a-zA-Z0-9_-]")


class Content(msgspec.Struct, frozen=True):
    """A piece of the content."""

    text: str


class CallBegun(msgspec.Struct, frozen=True):
    """The start of a call of the function `name`. Its arguments follow."""

    name: str


class Arguments(msgspec.Struct, frozen=True):
    """More of the latest call's arguments, as JSON text."""

    json: str


Piece = Content | CallBegun | Arguments


class CallReader:
    """Splits one answer into content and calls, in linear time.

    Text that starts like a call but is not one is returned as text. So is a call that is cut off
    before its arguments.
    """

    def __init__(
        self,
        form: CallFormat,
        raw: Container[str] = (),
        texts: Mapping[str, Container[str]] = MappingProxyType({}),
    ) -> None:
        """The arguments of the functions `raw` are not JSON, and end with the answer.

        `texts` has the parameters of each function whose values are text, for a format of elements.
        """
        self._form = form
        self._raw = raw
        self._texts = texts
        self._apart: ArgumentReader | None = None
        """Reads arguments that are not JSON."""
        self._buffer = ""
        self._state = self._outside
        self._scanner = _JsonScanner()
        self._any_call = False
        self._opener = ""
        """The text before `begin`."""

    def feed(self, text: str) -> list[Piece]:
        """Add text of the answer."""
        self._buffer += text
        pieces: list[Piece] = []
        while True:
            state, size = self._state, len(self._buffer)
            pieces += state()
            if self._state == state and len(self._buffer) == size:
                return pieces

    def finish(self) -> list[Piece]:
        """Return the text that was held back, at the end of the answer."""
        rest, self._buffer = self._buffer, ""
        if self._state == self._head and not self._any_call:
            rest = self._opener + self._form.begin + rest
        elif self._state != self._outside:
            rest = ""  # the marks of a call after its returned part
        return [Content(rest)] if rest else []

    def _outside(self) -> Iterator[Piece]:
        begin, opener = self._form.begin, self._form.opener
        at = self._buffer.find(begin)
        if at >= 0:
            end, self._state = at + len(begin), self._head
            self._opener = opener if self._buffer[:at].endswith(opener) else ""
            at -= len(self._opener)
        else:
            kept = overlap(self._buffer, begin)
            if opener:
                kept = max(kept, overlap(self._buffer, opener + begin))
            at = end = len(self._buffer) - kept
        text, self._buffer = self._buffer[:at], self._buffer[end:]
        if text:
            yield Content(text)

    def _head(self) -> Iterator[Piece]:
        before, after = self._form.before_name, self._form.before_arguments
        buffer = self._buffer
        if len(buffer) < len(before) and before.startswith(buffer):
            return
        at = self._name_end(len(before))
        name = buffer[len(before) : at if at >= 0 else None]
        if not buffer.startswith(before) or len(name) > MAX_NAME + len(after):
            yield from self._give_up()
        elif at >= 0:
            arguments = buffer[at + len(after) :]
            begun = self._has_begun(arguments)
            if not _NAME.fullmatch(name) or begun is False:
                yield from self._give_up()
            elif begun:  # it is a call when they start
                self._buffer = arguments
                self._begin_arguments(name)
                yield CallBegun(name)

    def _name_end(self, start: int) -> int:
        """The end of the name that begins at `start` of the buffer. -1: it is not there yet."""
        if after := self._form.before_arguments:
            return self._buffer.find(after, start)
        found = _AFTER_NAME.search(self._buffer, start)
        return found.start() if found else -1

    def _has_begun(self, arguments: str) -> bool | None:
        """Whether this is the start of arguments. None: it is too short to know."""
        form = self._form
        if not arguments or arguments.startswith("{"):
            return bool(arguments) or None
        if form.elements:
            return elements.has_begun(arguments, form.elements, form.end)
        return form.keywords and keywords.has_begun(arguments)

    def _begin_arguments(self, name: str) -> None:
        self._any_call = True
        self._scanner = _JsonScanner()
        self._state = self._rest if name in self._raw else self._arguments
        if self._form.bare and name not in self._raw:
            self._state, self._apart = self._in_arguments, BareReader()
        elif not self._buffer.startswith("{"):
            self._state = self._in_arguments
            marks, texts = self._form.elements, self._texts.get(name, ())
            reader = elements.ElementReader(marks, texts) if marks else keywords.KeywordReader()
            self._apart = reader

    def _arguments(self) -> Iterator[Piece]:
        size = self._scanner.scan(self._buffer)
        fragment, self._buffer = self._buffer[:size], self._buffer[size:]
        if self._scanner.complete:
            self._state = self._tail
        if fragment:
            yield Arguments(fragment)

    def _in_arguments(self) -> Iterator[Piece]:
        reader = self._apart
        assert reader is not None
        fragment, self._buffer = reader.feed(self._buffer), ""
        if reader.complete:
            self._buffer, self._state = reader.rest, self._tail
        if fragment:
            yield Arguments(fragment)

    def _rest(self) -> Iterator[Piece]:
        fragment, self._buffer = self._buffer, ""
        if fragment:
            yield Arguments(fragment)

    def _tail(self) -> Iterator[Piece]:
        end = self._form.end
        if self._buffer.startswith(end):
            self._buffer, self._state = self._buffer[len(end) :], self._between
        elif not end.startswith(self._buffer):
            self._state = self._outside
        yield from ()

    def _between(self) -> Iterator[Piece]:
        again, close, buffer = self._form.again, self._form.close, self._buffer
        more = again + self._form.before_name
        if close and buffer.startswith(close):
            self._buffer, self._state = buffer[len(close) :], self._outside
        elif buffer.startswith(more):
            self._buffer, self._state = buffer[len(again) :], self._head
        elif not (more.startswith(buffer) or close.startswith(buffer)):
            self._state = self._outside
        yield from ()

    def _give_up(self) -> Iterator[Piece]:
        self._state = self._outside
        yield Content(self._opener + self._form.begin)


class _JsonScanner:
    """Finds the end of one JSON object."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = self._escaped = False
        self.complete = False

    def scan(self, text: str) -> int:
        """The number of characters of `text` that belong to the object."""
        for at, character in enumerate(text):
            if self._escaped:
                self._escaped = False
            elif self._in_string:
                self._escaped = character == "\\"
                self._in_string = character != '"'
            elif character == '"':
                self._in_string = True
            elif character in "{[":
                self._depth += 1
            elif character in "}]":
                self._depth -= 1
                if self._depth <= 0:
                    self.complete = True
                    return at + 1
        return len(text)
