"""Splits one answer into reasoning, content, tool calls and the end, for every API."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import msgspec

from minikin.api.answer.answer_forms import AnswerForm
from minikin.api.answer.identifiers import call_id
from minikin.chat.harmony import HarmonyReader
from minikin.chat.thoughts import Said, Thought, ThoughtReader
from minikin.chat.tool_calls import Arguments, CallBegun, CallReader, Content, Piece
from minikin.engine.messages import Event, FinishReason, TokenEntry


class Words(msgspec.Struct, frozen=True):
    """A piece of the content, with the log probabilities of its tokens. Either can be empty."""

    text: str
    entries: tuple[TokenEntry, ...] = ()


class Call(msgspec.Struct, frozen=True):
    """The start of a tool call. Its arguments follow."""

    id: str
    name: str


class End(msgspec.Struct, frozen=True):
    """The end of the answer. `reason` is the engine's, also after calls."""

    reason: FinishReason


Part = Thought | Words | Call | Arguments | End


class AnswerReader:
    """Turns the engine's events of one choice into the parts of its answer.

    A call is held back while it repeats an earlier call, and dropped if it repeats all of it. Log
    probabilities cover only content, not calls.
    """

    def __init__(self, form: AnswerForm, thoughts: ThoughtReader | HarmonyReader | None) -> None:
        self._thoughts = thoughts
        self._must_call = form.must_call
        self._reader = CallReader(form.calls, form.raw, form.texts) if form.calls else None
        self._entries: list[TokenEntry] = []
        """Log probabilities of tokens whose text is not sent yet."""
        self._calls: list[_Call] = []
        self.reasoning_tokens = 0
        """Tokens of the reasoning between the marks."""

    def take(self, event: Event) -> Iterator[Part]:
        """The parts of one event. Those of the last event end with End."""
        self._entries += event.logprobs
        for piece in self._pieces(event):
            match piece:
                case Thought():
                    yield piece
                case Content(text):
                    if not self._must_call:  # otherwise part of a call that the limit cut off
                        yield Words(text, tuple(self._entries))
                case CallBegun(name):
                    self._calls = [*(call for call in self._calls if call.shown), _Call(name)]
                case Arguments(json):
                    yield from self._arguments(json)
            self._entries.clear()
        if self._thoughts and self._thoughts.thinking:
            self._entries.clear()
        if event.finish_reason:
            yield End(event.finish_reason)

    def _pieces(self, event: Event) -> Iterator[Piece | Thought]:
        """Splits the event's text into reasoning, then content and calls."""
        last = event.finish_reason is not None
        said = self._apart(self._thoughts, event) if self._thoughts else [Said(event.text)]
        for part in said:
            if isinstance(part, Thought):
                yield part
            elif self._reader:
                yield from self._reader.feed(part.text)
            else:
                yield Content(part.text)
        if self._reader and last:
            yield from self._reader.finish()

    def _apart(self, reader: ThoughtReader | HarmonyReader, event: Event) -> list[Thought | Said]:
        """The parts of the event's text, token by token, so that reasoning tokens are counted."""
        said: list[Thought | Said] = []
        start = 0
        for end in event.token_ends:
            inside = reader.inside
            parts = reader.feed(event.text[start:end])
            thought = reader.inside or any(isinstance(part, Thought) for part in parts)
            self.reasoning_tokens += inside and thought
            said += parts
            start = end
        said += reader.feed(event.text[start:])
        if event.finish_reason:
            said += reader.finish()
        return [kind("".join(p.text for p in parts)) for kind, parts in groupby(said, type)]

    def _arguments(self, more: str) -> Iterator[Part]:
        """More arguments of the latest call. The first ones also give its start."""
        call = self._calls[-1]
        call.arguments += more
        if call.shown:
            yield Arguments(more)
        elif not any(call.may_become(other) for other in self._calls[:-1]):
            call.shown = True
            yield Call(call_id(), call.name)
            yield Arguments(call.arguments)


@dataclass
class _Call:
    """An unfinished call."""

    name: str
    arguments: str = ""
    shown: bool = False

    def may_become(self, other: _Call) -> bool:
        """Whether this call is so far a prefix of `other`, or all of it."""
        return self.name == other.name and other.arguments.startswith(self.arguments)
