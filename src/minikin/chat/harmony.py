"""Harmony, the answer format of gpt-oss: messages in channels for reasoning, content and calls.

Each message is a header, <|message|>, its text and <|end|>. A header names a channel: analysis for
reasoning, final or commentary for content. For a call it also names the recipient. The start of the
first header is in the prompt. See OpenAI's cookbook, "OpenAI harmony response format".
"""

from __future__ import annotations

import re
from typing import Any

from minikin.chat.call_formats import HARMONY, format_of
from minikin.chat.thoughts import Said, Thought, apart, thought_marks
from minikin.marks import CHANNEL, END, MESSAGE, START

_LONGEST_HEADER = 256
_BEGINNINGS = (START, CHANNEL, MESSAGE, "to=")
_RECIPIENT = re.compile(r"to=(functions\.)?([\w.-]+)")
_END = re.compile("{}|(?={}|{})".format(*map(re.escape, (END, START, CHANNEL))))
_PART = re.compile(r"<(\|([a-z]{1,7}\|?)?)?\Z")
"""A possible start of a mark at the end of a text."""


def in_channels(template: str) -> bool:
    """Whether a model with this chat template uses harmony."""
    return format_of(template) is HARMONY


def described(tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tools for gpt-oss's template, which requires a description for each."""
    functions = [tool["function"] for tool in tools]
    return [
        tool | {"function": function | {"description": function.get("description") or ""}}
        for tool, function in zip(tools, functions, strict=True)
    ]


def past_thoughts(text: str, template: str) -> tuple[str, str]:
    """The reasoning in an assistant's earlier text, and the rest, without the marks between them.

    Clients of servers that do not separate reasoning send it back. The template would cut it, but
    does not find marks in the text of a client.
    """
    if in_channels(template):
        if not text.lstrip().startswith((START, CHANNEL)):
            return "", text
        reader = HarmonyReader()
        parts = [*reader.feed(text), *reader.finish()]
        thoughts, said = (
            "".join(part.text for part in parts if isinstance(part, kind))
            for kind in (Thought, Said)
        )
        return thoughts, said
    marks = thought_marks(template)
    return apart(text, marks) if marks else ("", text)


class HarmonyReader:
    """Splits one answer, like `ThoughtReader`. Calls are returned as text in the format HARMONY.

    Messages of one kind are separated by a line break. Text without a header is content.
    """

    def __init__(self) -> None:
        self._buffer = ""
        self._kind: type[Thought | Said] | None = None
        """The kind of the current message. None: its header is not complete."""
        self._speaking = False
        """Whether any text of it was returned."""
        self._told: set[type[Thought | Said]] = set()

    @property
    def inside(self) -> bool:
        """Whether the text is inside a reasoning message."""
        return self._kind is Thought

    @property
    def thinking(self) -> bool:
        """Whether the latest text is reasoning or a header, not content."""
        return not self._speaking

    def feed(self, text: str) -> list[Thought | Said]:
        """Add text. A possible part of a mark or of a header is held back."""
        self._buffer += text
        parts: list[Thought | Said] = []
        while self._kind is not None or self._header(parts):
            if not self._words(parts):
                break
        return [part for part in parts if part.text]

    def finish(self) -> list[Thought | Said]:
        """Return the text that was held back, at the end of the answer."""
        rest, self._buffer = self._buffer, ""
        if self._kind is None and "|>" in rest:
            return []  # a truncated header
        return [(self._kind or Said)(rest)] if rest else []

    def _header(self, parts: list[Thought | Said]) -> bool:
        """Whether the header is complete, or is not a header."""
        header, mark, rest = self._buffer.partition(MESSAGE)
        begun = header.lstrip()
        if mark and (not begun or begun.startswith(_BEGINNINGS)):
            self._buffer = rest
            self._begin(header, parts)
            return True
        if mark or len(begun) > _LONGEST_HEADER or not _may_begin(begun):
            # Its first marks must not start a header again.
            self._kind, self._buffer, self._speaking = Said, self._buffer[len(header) :], True
            parts.append(Said(header))
        return self._kind is not None

    def _begin(self, header: str, parts: list[Thought | Said]) -> None:
        recipient = _RECIPIENT.search(header)
        if recipient and recipient[1]:
            self._kind = Said
            parts.append(Said(f"{HARMONY.begin}{recipient[2]}{HARMONY.before_arguments}"))
            return
        # Calls of the model's built-in tools belong to its reasoning.
        self._kind = Thought if recipient or f"{CHANNEL}analysis" in header else Said
        if self._kind in self._told:
            parts.append(self._kind("\n"))
        self._told.add(self._kind)

    def _words(self, parts: list[Thought | Said]) -> bool:
        """Whether the message ends here."""
        assert self._kind is not None
        end = _END.search(self._buffer) or _PART.search(self._buffer)
        at = end.start() if end else len(self._buffer)
        parts.append(self._kind(self._buffer[:at]))
        self._speaking = self._kind is Said and (self._speaking or at > 0)
        self._buffer = self._buffer[at:]
        if end is None or end.re is _PART:
            return False
        self._buffer = self._buffer.removeprefix(END)
        self._kind, self._speaking = None, False
        return True


def _may_begin(text: str) -> bool:
    return any(text.startswith(mark) or mark.startswith(text) for mark in _BEGINNINGS)
