"""The deltas of one choice: role, reasoning, content, tool calls, and the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from msgspec.structs import replace

from minikin.api.answer.answer_forms import AnswerForm
from minikin.api.answer.identifiers import call_id
from minikin.api.answer.wire import (
    ChunkChoice,
    Delta,
    FinishReason,
    FunctionDelta,
    Logprobs,
    TokenLogprob,
    ToolCallDelta,
    TopLogprob,
)
from minikin.chat.harmony import HarmonyReader
from minikin.chat.thoughts import Said, Thought, ThoughtReader
from minikin.chat.tool_calls import Arguments, CallBegun, CallReader, Content, Piece
from minikin.engine.messages import Event, TokenEntry


class ChoiceStream:
    """Turns the events of one choice into the chunks that OpenAI would send.

    A call that starts the answer is in the same delta as the role. Every other call has its own
    delta. A call is held back while it repeats an earlier call, and dropped if it repeats all of
    it. Log probabilities cover only content, not calls.
    """

    def __init__(
        self,
        index: int,
        form: AnswerForm,
        thoughts: ThoughtReader | HarmonyReader | None,
        *,
        with_logprobs: bool,
    ) -> None:
        self._index = index
        self._named = form.named
        self._legacy = form.legacy
        self._thoughts = thoughts
        self._must_call = form.must_call
        self._reader = CallReader(form.calls) if form.calls else None
        self._with_logprobs = with_logprobs
        self._entries: list[TokenEntry] = []
        """Log probabilities of tokens whose text is not sent yet."""
        self._begun = False
        self._calls: list[_Call] = []
        self.reasoning_tokens = 0
        """Tokens of the reasoning between the marks."""

    def take(self, event: Event) -> Iterator[ChunkChoice]:
        """The chunks of one event. Those of the last event end with the finish reason."""
        self._entries += event.logprobs
        for part in self._parts(event):
            match part:
                case Thought(text):
                    yield from self._begin()
                    yield self._chunk(Delta(reasoning_content=text))
                case Content(text):
                    if not self._must_call:  # otherwise part of a call that the limit cut off
                        yield from self._words(text, tuple(self._entries))
                case CallBegun(name):
                    self._calls = [*self._shown_calls, _Call(name)]
                case Arguments(json):
                    yield from self._arguments(json)
            self._entries.clear()
        if self._thoughts and self._thoughts.thinking:
            self._entries.clear()
        if event.finish_reason:
            yield from self._begin()
            yield self._chunk(Delta(), finish_reason=self._finish_reason(event.finish_reason))

    def _parts(self, event: Event) -> Iterator[Piece | Thought]:
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

    def _words(self, text: str, entries: tuple[TokenEntry, ...]) -> Iterator[ChunkChoice]:
        yield from self._begin()
        if text or entries:
            logprobs = [_token_logprob(entry) for entry in entries]
            yield self._chunk(Delta(content=text), logprobs)

    @property
    def _shown_calls(self) -> list[_Call]:
        return [call for call in self._calls if call.shown]

    def _arguments(self, more: str) -> Iterator[ChunkChoice]:
        """More arguments of the latest call. The first ones also send its header."""
        call = self._calls[-1]
        call.arguments += more
        if call.shown:
            yield self._chunk(self._call_delta(FunctionDelta(more)))
        elif not any(call.may_become(other) for other in self._calls[:-1]):
            call.shown = True
            yield self._header(call.name)
            yield self._chunk(self._call_delta(FunctionDelta(call.arguments)))

    def _header(self, name: str) -> ChunkChoice:
        delta = self._call_delta(FunctionDelta("", name), call_id())
        if self._begun:
            return self._chunk(delta)
        self._begun = True
        return self._chunk(replace(delta, role="assistant", content=None, refusal=None), [])

    def _call_delta(self, function: FunctionDelta, new_id: str = "") -> Delta:
        """The new part of the latest call, with its id if it is the first part."""
        if self._legacy:
            return Delta(function_call=function)
        at = len(self._calls) - 1
        if new_id:
            return Delta(tool_calls=[ToolCallDelta(at, function, new_id, "function")])
        return Delta(tool_calls=[ToolCallDelta(at, function)])

    def _begin(self) -> Iterator[ChunkChoice]:
        if not self._begun:
            self._begun = True
            yield self._chunk(Delta(role="assistant", content="", refusal=None), [])

    def _chunk(
        self,
        delta: Delta,
        entries: list[TokenLogprob] | None = None,
        finish_reason: FinishReason | None = None,
    ) -> ChunkChoice:
        wanted = self._with_logprobs and entries is not None
        return ChunkChoice(
            self._index, delta, Logprobs(content=entries) if wanted else None, finish_reason
        )

    def _finish_reason(self, reason: FinishReason) -> FinishReason:
        """The finish reason of the answer. The call of a named function keeps `stop`."""
        if reason != "stop" or self._named or not self._shown_calls:
            return reason
        return "function_call" if self._legacy else "tool_calls"


@dataclass
class _Call:
    """An unfinished call."""

    name: str
    arguments: str = ""
    shown: bool = False

    def may_become(self, other: _Call) -> bool:
        """Whether this call is so far a prefix of `other`, or all of it."""
        return self.name == other.name and other.arguments.startswith(self.arguments)


def _token_logprob(entry: TokenEntry) -> TokenLogprob:
    return TokenLogprob(
        token=_shown(entry.token),
        logprob=entry.logprob,
        bytes=list(entry.token),
        top_logprobs=[
            TopLogprob(token=_shown(top.token), logprob=top.logprob, bytes=list(top.token))
            for top in entry.top
        ],
    )


def _shown(token: bytes) -> str:
    """A token as text. Bytes that are only part of a character are escaped, as at OpenAI."""
    return token.decode(errors="backslashreplace")
