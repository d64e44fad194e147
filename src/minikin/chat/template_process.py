"""A model's chat template in a process of its own, whose time and memory are bounded."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from minikin.chat.call_formats import format_of
from minikin.chat.harmony import in_channels
from minikin.chat.thoughts import thought_marks
from minikin.errors import InvalidRequest, ModelFileError, TemplateError

MAX_REPLY = 256 * 1024 * 1024
"""Bytes; more than any conversation within the limits renders to."""
_DIED = (asyncio.IncompleteReadError, ValueError, ConnectionError, RuntimeError)
"""What a pipe to a dead process raises; uvloop's own is the last."""
_TOO_MUCH = "it took too much time or memory."
_ROOT = str(Path(__file__).parents[2])
"""Where the worker finds this package, be it installed or not."""


class Source(msgspec.Struct, frozen=True):
    """A template and the control tokens of its model."""

    template: str
    control_tokens: list[str]
    bos: str | None = None
    eos: str | None = None
    max_seconds: float = 1.0
    """CPU time of one rendering: many times what four megabytes of messages take."""


class Conversation(msgspec.Struct, frozen=True):
    """What to render; see `ChatTemplate.render`."""

    number: int
    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[dict[str, Any]]
    must_call: bool
    variables: Mapping[str, Any]


class Reply(msgspec.Struct, frozen=True):
    """The pieces of the prompt, or why there are none."""

    number: int
    pieces: list[tuple[str, bool]] = []
    refusal: str | None = None
    """The template's own words against these messages."""
    fault: str | None = None
    """How the template failed."""


class TemplateProcess:
    """Renders conversations in `template_worker.py`, one at a time; see `ChatTemplate`."""

    def __init__(self, source: Source) -> None:
        self.call_format = format_of(source.template)
        """How the model writes tool calls."""
        self.in_channels = in_channels(source.template)
        """Whether the model answers in harmony's channels."""
        self.thought_marks = thought_marks(source.template)
        """What the model's thoughts stand between, if it has any."""
        self.can_choose_to_think = "enable_thinking" in source.template
        self._source = source
        self._turn = asyncio.Lock()
        self._number = 0
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the process and try the template out. Raises ModelFileError if it can't be used."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "minikin.chat.template_worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=MAX_REPLY,
            env=os.environ | {"PYTHONPATH": _ROOT},
        )
        try:
            reply = await self._exchange(self._source, 0)
        except _DIED as error:
            raise ModelFileError(f"The model's chat template failed: {_TOO_MUCH}") from error
        if reply.fault:
            raise ModelFileError(reply.fault)

    async def stop(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        await process.communicate()  # which closes the pipes too

    async def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[dict[str, Any]] = (),
        must_call: bool = False,
        variables: Mapping[str, Any] | None = None,
    ) -> list[tuple[str, bool]]:
        """What ChatTemplate.render gives and raises; TemplateError also if it doesn't end."""
        async with self._turn:
            self._number += 1
            asked = Conversation(self._number, messages, tools, must_call, variables or {})
            try:
                if self._process is None or self._process.returncode is not None:
                    await self.stop()
                    await self.start()
                reply = await self._exchange(asked, asked.number)
            except (ModelFileError, *_DIED) as error:
                await self.stop()
                raise TemplateError(_TOO_MUCH) from error
        if reply.refusal:
            raise InvalidRequest(reply.refusal, param="messages")
        if reply.fault:
            raise TemplateError(reply.fault)
        return reply.pieces

    async def _exchange(self, message: Source | Conversation, number: int) -> Reply:
        """Send a line; its answer comes after those of clients who have left meanwhile."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(message) + b"\n")
        await self._process.stdin.drain()
        while True:
            line = await self._process.stdout.readuntil(b"\n")
            reply = msgspec.json.decode(line, type=Reply)
            if reply.number == number:
                return reply
