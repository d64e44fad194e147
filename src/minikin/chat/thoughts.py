"""Separates a model's reasoning from its answer, in text that arrives in pieces."""

from __future__ import annotations

import msgspec

from minikin.marks import (
    GEMMA_THINK_BEGIN,
    GEMMA_THINK_END,
    MISTRAL_THINK_BEGIN,
    MISTRAL_THINK_END,
    SEED_THINK_BEGIN,
    SEED_THINK_END,
    THINK_BEGIN,
    THINK_END,
)


class ThoughtMarks(msgspec.Struct, frozen=True):
    """The marks around a model's reasoning."""

    begin: str
    end: str


THINK = ThoughtMarks(THINK_BEGIN, THINK_END)
"""Of Qwen3, the DeepSeek-R1 distillations and SmolLM3."""
MISTRAL_THINK = ThoughtMarks(MISTRAL_THINK_BEGIN, MISTRAL_THINK_END)
"""Of Magistral."""
SEED_THINK = ThoughtMarks(SEED_THINK_BEGIN, SEED_THINK_END)
"""Of Seed-OSS."""
GEMMA_THINK = ThoughtMarks(GEMMA_THINK_BEGIN, GEMMA_THINK_END)
"""Of Gemma 4."""


class Thought(msgspec.Struct, frozen=True):
    """A piece of the reasoning."""

    text: str


class Said(msgspec.Struct, frozen=True):
    """A piece of the answer."""

    text: str


def thought_marks(template: str) -> ThoughtMarks | None:
    """The reasoning marks of a model with this chat template, or None.

    Some models that reason have templates without marks (Phi-4-mini-reasoning). Their marks are
    those of THINK.
    """
    known = (SEED_THINK, THINK, MISTRAL_THINK, GEMMA_THINK)
    return next((marks for marks in known if marks.end in template), None)


def apart(text: str, marks: ThoughtMarks) -> tuple[str, str]:
    """The reasoning at the start of a complete answer, and the rest.

    The prompt can have begun the reasoning. Then only its end is in the text. White space after the
    end stays: some templates remove it, others do not.
    """
    before, end, after = text.partition(marks.end)
    begun = before.lstrip().startswith(marks.begin)
    if not begun and (not end or marks.begin in before):
        return "", text
    return before.strip().removeprefix(marks.begin).strip(), after


def is_thinking(prompt: str, marks: ThoughtMarks) -> bool:
    """Whether `prompt` ends with the mark that starts the model's reasoning."""
    return prompt.rstrip().endswith(marks.begin)


class ThoughtReader:
    """Splits one answer. Reasoning is only at the start. Later marks are part of the answer.

    White space around the marks is dropped.
    """

    def __init__(self, marks: ThoughtMarks, *, thinking: bool) -> None:
        self._marks = marks
        self._buffer = ""
        self._state = self._thought if thinking else self._start
        self._started = False
        """Whether any text of the current part was returned."""

    @property
    def inside(self) -> bool:
        """Whether the text is between the marks."""
        return self._state == self._thought

    @property
    def thinking(self) -> bool:
        """Whether the model is still reasoning, so that the answer has not started."""
        return self._state in (self._thought, self._gap)

    def feed(self, text: str) -> list[Thought | Said]:
        """Add text. A possible part of a mark, or white space before it, is held back."""
        self._buffer += text
        return self._state()

    def finish(self) -> list[Thought | Said]:
        """Return the text that was held back, at the end of the answer."""
        rest, self._buffer = self._buffer, ""
        if self._state == self._thought:
            return _some(Thought(rest.strip() if not self._started else rest.rstrip()))
        return _some(Said(rest))

    def _start(self) -> list[Thought | Said]:
        begun = self._buffer.lstrip()
        begin = self._marks.begin
        if begun.startswith(begin):
            self._buffer = begun[len(begin) :]
            self._state = self._thought
        elif not begin.startswith(begun):
            self._state = self._said
        else:
            return []
        return self._state()

    def _thought(self) -> list[Thought | Said]:
        if not self._started:
            self._buffer = self._buffer.lstrip()
        before, mark, after = self._buffer.partition(self._marks.end)
        if mark:
            self._buffer, self._state, self._started = after, self._gap, False
            return [*_some(Thought(before.rstrip())), *self._gap()]
        kept = _unsure(before, self._marks.end)
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


def _unsure(text: str, end: str) -> int:
    """The length of the end of `text` that can belong to the mark `end`, with white space."""
    for size in range(min(len(text), len(end) - 1), -1, -1):
        if end.startswith(text[len(text) - size :]):
            before = text[: len(text) - size]
            return len(text) - len(before.rstrip())
    raise AssertionError("the empty end always matches")
