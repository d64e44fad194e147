"""The deltas of one choice: role, reasoning, content, tool calls, and the end."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from minikin.api.answer import answer_reader
from minikin.api.answer.answer_reader import AnswerReader, Call, End, Words
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
from minikin.chat.thoughts import Thought
from minikin.chat.tool_calls import Arguments
from minikin.engine.messages import Event, TokenEntry


class ChoiceStream:
    """Turns the events of one choice into the chunks that OpenAI would send.

    A call that starts the answer is in the same delta as the role. Every other call has its own
    delta.
    """

    def __init__(
        self, index: int, reader: AnswerReader, *, named: bool, legacy: bool, with_logprobs: bool
    ) -> None:
        self._index = index
        self._reader = reader
        self._named = named
        self._legacy = legacy
        self._with_logprobs = with_logprobs
        self._begun = False
        self._calls = 0

    @property
    def reasoning_tokens(self) -> int:
        """See AnswerReader."""
        return self._reader.reasoning_tokens

    def take(self, event: Event) -> Iterator[ChunkChoice]:
        """The chunks of one event. Those of the last event end with the finish reason."""
        for part in self._reader.take(event):
            yield from self._chunks(part)

    def _chunks(self, part: answer_reader.Part) -> Iterator[ChunkChoice]:
        match part:
            case Thought(text):
                yield from self._begin()
                yield self._chunk(Delta(reasoning_content=text))
            case Words(text, entries):
                yield from self._begin()
                if text or entries:
                    yield self._chunk(Delta(content=text), list(map(token_logprob, entries)))
            case Call():
                self._calls += 1
                yield self._header(part)
            case Arguments(json):
                yield self._chunk(self._call_delta(FunctionDelta(json)))
            case End(reason):
                yield from self._begin()
                yield self._chunk(Delta(), finish_reason=self._finish_reason(reason))

    def _header(self, call: Call) -> ChunkChoice:
        delta = self._call_delta(FunctionDelta("", call.name), call.id)
        if self._begun:
            return self._chunk(delta)
        self._begun = True
        return self._chunk(replace(delta, role="assistant", content=None, refusal=None), [])

    def _call_delta(self, function: FunctionDelta, new_id: str = "") -> Delta:
        """The new part of the latest call, with its id if it is the first part."""
        if self._legacy:
            return Delta(function_call=function)
        at = self._calls - 1
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
        if reason != "stop" or self._named or not self._calls:
            return reason
        return "function_call" if self._legacy else "tool_calls"


def token_logprob(entry: TokenEntry) -> TokenLogprob:
    """The entry of one token, as it is sent."""
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
