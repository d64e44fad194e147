"""Tells a model's thoughts from its answer, in text that arrives in pieces."""

from __future__ import annotations

import msgspec

BEGIN, END = "<think>", "</think>"
"""The marks of Qwen3, the DeepSeek-R1 distillations and SmolLM3."""


class Thought(msgspec.Struct, frozen=True):
    """Words that the model says to itself."""

    text: str


class Said(msgspec.Struct, frozen=True):
    """Words of the answer."""

    text: str


def writes_thoughts(template: str) -> bool:
    """Whether a model with this chat template puts its thoughts between the marks."""
    return END in template


def is_thinking(prompt: str) -> bool:
    """Whether `prompt` ends where the model's thoughts begin, the mark being written already."""
    return prompt.rstrip().endswith(BEGIN)


class ThoughtReader:
    """Splits one answer. Thoughts come only before the answer; marks later on are its own text.

    White space around the marks is neither's.
    """

    def __init__(self, *, thinking: bool) -> None:
        self._buffer = ""
        self._state = self._thought if thinking else self._start
        self._started = False
        """Whether anything of the current part has been told."""

    @property
    def thinking(self) -> bool:
        """Whether the answer has not begun yet, since the model thinks."""
        return self._state in (self._thought, self._gap)

    def feed(self, text: str) -> list[Thought | Said]:
        """Take more of the text; what may be part of a mark, or white space before one, waits."""
        self._buffer += text
        return self._state()

    def finish(self) -> list[Thought | Said]:
        """Give up what was held back, since nothing follows."""
        rest, self._buffer = self._buffer, ""
        if self._state == self._thought:
            return _some(Thought(rest.strip() if not self._started else rest.rstrip()))
        return _some(Said(rest))

    def _start(self) -> list[Thought | Said]:
        begun = self._buffer.lstrip()
        if begun.startswith(BEGIN):
            self._buffer = begun[len(BEGIN) :]
            self._state = self._thought
        elif not BEGIN.startswith(begun):
            self._state = self._said
        else:
            return []
        return self._state()

    def _thought(self) -> list[Thought | Said]:
        if not self._started:
            self._buffer = self._buffer.lstrip()
        before, mark, after = self._buffer.partition(END)
        if mark:
            self._buffer, self._state, self._started = after, self._gap, False
            return [*_some(Thought(before.rstrip())), *self._gap()]
        kept = _unsure(before)
        told, self._buffer = before[: len(before) - kept], before[len(before) - kept :]
        self._started = self._started or bool(told)
        return _some(Thought(told))

    def _gap(self) -> list[Thought | Said]:
        self._buffer = self._buffer.lstrip()
        if not self._buffer:
            return []
        self._state = self._said
        return self._said()

    def _said(self) -> list[Thought | Said]:
        text, self._buffer = self._buffer, ""
        return _some(Said(text))


def _some(part: Thought | Said) -> list[Thought | Said]:
    return [part] if part.text else []


def _unsure(text: str) -> int:
    """The length of the end of `text` that may belong to the closing mark: white space and part."""
    for size in range(min(len(text), len(END) - 1), -1, -1):
        if END.startswith(text[len(text) - size :]):
            before = text[: len(text) - size]
            return len(text) - len(before.rstrip())
    raise AssertionError("the empty end always fits")
