"""A model's chat template in its own process, with limited time and memory."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from minikin.bounded.limits import Limits
from minikin.bounded.process import BoundedProcess, WorkerLost, WorkerNotReady
from minikin.chat.answer_format import AnswerFormat
from minikin.chat.call_formats import format_of
from minikin.chat.harmony import in_channels
from minikin.chat.thoughts import THINK, thought_marks
from minikin.errors import InvalidRequest, ModelFileError, TemplateError

WORKER = "minikin.chat.template_worker"
SECONDS = 1.0
"""CPU time of one rendering. Four megabytes of messages need much less."""
_TOO_MUCH = "it needed too much time or memory."


class Source(msgspec.Struct, frozen=True):
    """A template and the control tokens of its model."""

    template: str
    control_tokens: list[str]
    bos: str | None = None
    eos: str | None = None


class Conversation(msgspec.Struct, frozen=True):
    """The arguments of `ChatTemplate.render`."""

    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[dict[str, Any]]
    must_call: bool
    answer: AnswerFormat | None
    variables: Mapping[str, Any]


class Reply(msgspec.Struct, frozen=True):
    """The pieces of the prompt, or the reason for a failure."""

    pieces: list[tuple[str, bool]] = []
    refusal: str | None = None
    """The template's message if it rejects the conversation."""
    fault: str | None = None
    """The error of the template."""


class TemplateProcess:
    """Renders conversations in `template_worker.py`, one at a time. See `ChatTemplate`."""

    def __init__(self, source: Source, seconds: float = SECONDS) -> None:
        self.call_format = format_of(source.template)
        """How the model writes tool calls."""
        self.in_channels = in_channels(source.template)
        """Whether the model answers in harmony's channels."""
        self.reasons = thought_marks(source.template) is not None
        """Whether the template shows that the model reasons."""
        self.thought_marks = thought_marks(source.template) or THINK
        """The marks around the model's reasoning. An answer of any model can begin with them."""
        self.can_choose_to_think = "enable_thinking" in source.template
        setup = msgspec.json.encode(source)
        limits = Limits(seconds=seconds, setup_seconds=seconds)
        self._process = BoundedProcess(WORKER, lambda: setup, limits)
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Start the process and try the template. Raises ModelFileError if it is not usable."""
        try:
            await self._process.start()
        except WorkerNotReady as error:
            reason = error.reason or f"The model's chat template failed: {_TOO_MUCH}"
            raise ModelFileError(reason) from error

    async def stop(self) -> None:
        """Stop the process, if there is one."""
        await self._process.stop()

    async def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[dict[str, Any]] = (),
        must_call: bool = False,
        answer: AnswerFormat | None = None,
        variables: Mapping[str, Any] | None = None,
    ) -> list[tuple[str, bool]]:
        """As ChatTemplate.render. Raises TemplateError also if the template does not end."""
        asked = Conversation(messages, tools, must_call, answer, variables or {})
        async with self._turn:
            try:
                reply = await self._process.ask(asked, Reply)
            except (WorkerLost, WorkerNotReady) as error:
                raise TemplateError(_TOO_MUCH) from error
        if reply.refusal:
            raise InvalidRequest(reply.refusal, param="messages")
        if reply.fault:
            raise TemplateError(reply.fault)
        return reply.pieces
