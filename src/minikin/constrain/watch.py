"""Watches the JSON of one answer for what a grammar can't rule out: the same thing twice.

The names of an object differ: RFC 8259 asks for it, and readers keep one of two at most. A tool
call that repeats an earlier one ends the answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from minikin.constrain.plan import Watched

_NAME = re.compile(rb"[a-zA-Z0-9_-]*\Z")
_QUOTE, _BACKSLASH, _COMMA, _OPEN = b'"\\,{'


@dataclass
class JsonState:
    """The position in a text of JSON: the brackets that are open, and the string around it."""

    names: list[frozenset[bytes] | None] = field(default_factory=list)
    """For each open bracket the names that its object has, as they are spelt; None: an array."""
    name: bytes | None = None
    """What has been written of a name."""
    in_string: bool = False
    escaped: bool = False
    """Whether the latest byte is a backslash that escapes the next."""
    expects_name: bool = False
    repeats: bool = False
    """Whether an object has had a name twice."""

    @property
    def taken(self) -> frozenset[bytes]:
        """The names that the innermost object has already."""
        return (self.names[-1] if self.names else None) or frozenset()

    def after(self, text: bytes) -> JsonState:
        """The position after `text`, which may repeat a name. This one does not change."""
        following = replace(self, names=[*self.names], repeats=False)
        for byte in text:
            following.feed(byte)
        return following

    def feed(self, byte: int) -> None:
        """Take the next byte of the text."""
        if self.in_string:
            self._within(byte)
        elif byte == _QUOTE:
            self.in_string = True
            self.name = b"" if self.expects_name else None
            self.expects_name = False
        elif byte in b"{[":
            self.names.append(frozenset() if byte == _OPEN else None)
            self.expects_name = byte == _OPEN
        elif byte in b"}]":
            del self.names[-1:]
            self.expects_name = False
        elif byte == _COMMA:
            self.expects_name = bool(self.names) and self.names[-1] is not None

    def _within(self, byte: int) -> None:
        if byte == _QUOTE and not self.escaped:
            self.in_string = False
            if self.name is not None:
                self.repeats = self.repeats or self.name in self.taken
                self.names[-1] = self.taken | {self.name}
            self.name = None
            return
        self.escaped = byte == _BACKSLASH and not self.escaped
        if self.name is not None:
            self.name += bytes([byte])


class Watch:
    """Follows one answer, token by token."""

    def __init__(self, watched: Watched) -> None:
        self._marks = {token: mark.encode() for mark, token in watched.marks.items()}
        self._begins = [begin.encode() for begin in watched.begins]
        self._call_begin, self._head = watched.call.encode(), watched.head.encode()
        thoughts = watched.thoughts
        self._opening = thoughts.begin.encode() if thoughts and not thoughts.begun else b""
        """What may begin thoughts, if nothing has come yet but white space."""
        self._thoughts_end = thoughts.end.encode() if thoughts else b""
        self._thinking = bool(thoughts and thoughts.begun)
        self._ends = tuple(end.encode() for end in watched.ends)
        self._over = False
        """Whether no JSON follows."""
        self.json: JsonState | None = None
        """None while there are words or thoughts."""
        self._start = bytearray()
        """How the JSON begins, with its frame, as far as a call's beginning is long."""
        self._text = bytearray()
        """Since the latest call; of words only what a mark may still come of."""
        self._arguments: tuple[int, int] | None = None
        """Where those that are being written begin, and how deep within brackets."""
        self._calls: set[tuple[bytes, bytes]] = set()
        self.repeated = False
        """Whether the latest call is one that the answer has already."""

    def take(self, token: int, spelled: bytes) -> None:
        """The next token, with its bytes; a mark has its own."""
        if self._over:
            return
        text = self._marks.get(token, spelled)
        if self.json is None:
            self._text += text
            text = self._begun()
        for byte in text:
            self._follow(byte)
            if self._ends and self._text.endswith(self._ends):
                self._over, self.json = True, None
                return

    def _begun(self) -> bytes:
        """The JSON that has begun, with its frame; nothing while there are words or thoughts."""
        if self._opening and not self._opened():
            return b""
        marks = [self._thoughts_end] if self._thinking else self._begins
        places = [at for mark in marks if (at := self._text.find(mark)) >= 0]
        if not places:
            del self._text[: -max(map(len, marks))]
            return b""
        text, self._text = bytes(self._text[min(places) :]), bytearray()
        if self._thinking:
            self._thinking = False
            self._text += text[len(self._thoughts_end) :]
            return self._begun()
        self.json = JsonState()
        return text

    def _opened(self) -> bool:
        """Whether it is known if the answer begins with thoughts."""
        begun = bytes(self._text.lstrip())
        if begun != self._opening and self._opening.startswith(begun):
            return False
        self._thinking = begun.startswith(self._opening)
        self._opening = b""
        return True

    def _follow(self, byte: int) -> None:
        assert self.json is not None
        depth, in_string = len(self.json.names), self.json.in_string
        self.json.feed(byte)
        if not self._head:
            return
        self._text.append(byte)
        if len(self._start) < len(self._call_begin):
            self._start.append(byte)
        if in_string:
            return
        if self._arguments is None:
            if byte == _OPEN and bytes(self._start) == self._call_begin and self._ends_with_head():
                self._arguments = len(self._text) - 1, depth
        elif len(self.json.names) == self._arguments[1]:
            self._end_call(self._arguments[0])

    def _ends_with_head(self) -> bool:
        return self._text.endswith(self._head + b"{")

    def _end_call(self, begin: int) -> None:
        name = _NAME.search(self._text[: begin - len(self._head)])
        call = (bytes(name[0]) if name else b"", bytes(self._text[begin:]))
        self.repeated = self.repeated or call in self._calls
        self._calls.add(call)
        self._arguments, self._text = None, bytearray()
