"""One choice's news as its deltas: role, thoughts, words and tool calls, the end."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

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

    A call that opens the answer comes in the same delta as the role, any other in one of its own.
    Log probabilities are told of words only, not of calls.
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
        self._thoughts = thoughts
        self._must_call = form.must_call
        self._reader = CallReader(form.calls) if form.calls else None
        self._with_logprobs = with_logprobs
        self._entries: list[TokenEntry] = []
        """Of tokens whose text has not been told yet."""
        self._begun = False
        self._calls = 0
        self.reasoning_tokens = 0
        """Tokens that the model said to itself, between the marks."""

    def take(self, event: Event) -> Iterator[ChunkChoice]:
        """The chunks of one event; the last event's end with the finish reason."""
        self._entries += event.logprobs
        for part in self._parts(event):
            match part:
                case Thought(text):
                    yield from self._begin()
                    yield self._chunk(Delta(reasoning_content=text))
                case Content(text) if not self._must_call:  # else of a frame that the limit cut
                    yield from self._words(text, tuple(self._entries))
                case CallBegun(name):
                    yield from self._call(name)
                case Arguments(json):
                    yield self._chunk(
                        Delta(tool_calls=[ToolCallDelta(self._calls - 1, FunctionDelta(json))])
                    )
            self._entries.clear()
        if self._thoughts and self._thoughts.thinking:
            self._entries.clear()
        if event.finish_reason:
            yield from self._begin()
            yield self._chunk(Delta(), finish_reason=self._finish_reason(event.finish_reason))

    def _parts(self, event: Event) -> Iterator[Piece | Thought]:
        """What the event's text is part of: thoughts, then words and calls."""
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
        """The event's text, split token by token, so that those of thoughts can be counted."""
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

    def _call(self, name: str) -> Iterator[ChunkChoice]:
        header = ToolCallDelta(self._calls, FunctionDelta("", name), call_id(), "function")
        self._calls += 1
        if self._begun:
            yield self._chunk(Delta(tool_calls=[header]))
            return
        self._begun = True
        opening = Delta(role="assistant", content=None, tool_calls=[header], refusal=None)
        yield self._chunk(opening, [])

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
        """A named function's call is the answer asked for; any other call is the model's choice."""
        return "tool_calls" if reason == "stop" and self._calls and not self._named else reason


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
    """A token as text; bytes that are only part of a character are escaped, as OpenAI's are."""
    return token.decode(errors="backslashreplace")
