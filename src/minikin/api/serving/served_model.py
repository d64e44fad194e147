"""One loaded model: turns a checked chat request into a request for its engine."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from minikin.api.answer.answer_forms import AnswerForm, answer_form
from minikin.api.answer.prepared import Prepared
from minikin.api.request import faults
from minikin.api.request.parameters import ORIGINAL_WINDOW, ReasoningEffort
from minikin.api.request.translate import ChatRequest
from minikin.chat.schema_text import MAX_CHARS
from minikin.chat.template_process import TemplateProcess
from minikin.chat.thoughts import is_thinking
from minikin.constrain.checker import GrammarChecker
from minikin.constrain.worker import Vocabulary
from minikin.engine.host.supervisor import EngineSupervisor
from minikin.engine.messages import GenerationRequest
from minikin.errors import ContextExceeded, InvalidRequest, MinikinError
from minikin.marks import CHANNEL
from minikin.tokenizer.tokenizer import Tokenizer

_QUICK_CHARS = 16_384
"""Prompts up to this size are encoded on the event loop, in a few milliseconds."""
MAX_DESCRIPTION = MAX_CHARS
"""Characters of a description of the answer's format, whatever the window."""
DESCRIPTION_SHARE = 0.5
"""Maximum characters of this description for each token of the window."""
LEAST_ROOM = 256
"""Tokens. If a description of the answer's format leaves less for the answer, it is removed."""
_EFFORTS: tuple[ReasoningEffort, ...] = ("low", "medium", "high")
"""The efforts that gpt-oss was trained for."""
Piece = tuple[str, bool]
"""A text, and whether it is a control token."""


class ServedModel:
    """The parts of a model: the engine, and everything between it and OpenAI's requests.

    Tests use a scripted engine, a byte tokenizer and a template without limits instead.
    """

    def __init__(
        self,
        engine: EngineSupervisor,
        tokenizer: Tokenizer,
        template: TemplateProcess,
        sampling: Mapping[str, float] = MappingProxyType({}),
        *,
        hide_format: bool = False,
    ) -> None:
        self.engine = engine
        self.tokenizer = tokenizer
        self.template = template
        self._hides_format = hide_format
        self._sampling = sampling
        """The default SamplingParams of requests."""
        self._in_channels = template.in_channels and CHANNEL in tokenizer.frame_marks
        self.grammars = GrammarChecker(self._vocabulary)
        self._longest_token = max(
            len(tokenizer.token_bytes(token)) for token in range(tokenizer.vocab_size)
        )
        self._warming: asyncio.Task[None] | None = None

    def warm(self) -> None:
        """Start the processes that only some requests need."""
        self._warming = asyncio.create_task(self._warm())

    async def stop(self) -> None:
        """Stop the model's processes. Running answers end with EngineFailure."""
        if self._warming:
            self._warming.cancel()
        await self.engine.stop()
        await self.template.stop()
        await self.grammars.stop()

    async def prepare(
        self, request: ChatRequest, request_id: str, *, owner: str, default_max_tokens: int
    ) -> Prepared:
        """Turn a chat request into a request for the engine.

        The engine reuses only prompts of the same `owner`.

        The answer's limit is reduced to the rest of the window. Raises ContextExceeded for a limit
        that exceeds even OpenAI's window. Raises InvalidRequest if the prompt does not fit the
        window, a schema is not supported, a token does not exist or the model has no setting for
        its reasoning.
        """
        window = self.engine.info.context_length
        marks = self.tokenizer.frame_marks
        form = answer_form(request, self.template.call_format, marks)
        if self._in_channels:
            form = form.in_channels(marks)
        form = self._to_describe(form, window)
        # First of all, because only the number of new schemas that wait here is bounded.
        await form.grammar(self.grammars)
        prompt, thinking = await self._prompt(request, window, form)
        if form.described and window - len(prompt) < LEAST_ROOM:
            prompt, thinking = await self._prompt(request, window, replace(form, described=None))
        room = window - len(prompt)
        if room < 1:
            raise _prompt_too_long(window, str(len(prompt)))
        if (asked := request.max_tokens or 0) > ORIGINAL_WINDOW:
            raise ContextExceeded(window, len(prompt), asked)
        thoughts = self.template.thought_marks
        grammar = await form.after(thoughts, thinking).grammar(self.grammars)
        unsearched = form.unsearched(thoughts, thinking, in_channels=self._in_channels)
        most = min(asked or default_max_tokens, room)
        # A prediction beyond the window cannot come true.
        predicted = request.prediction[: window * self._longest_token]
        prediction = await self._encode(predicted) if predicted else []
        params = request.sampling_params(most, prediction, grammar, unsearched, self._sampling)
        self._check_tokens(params.logit_bias)
        generation = GenerationRequest(
            id=request_id, prompt=prompt, params=params, n=request.n, scope=owner
        )
        return Prepared(generation, form, thinking, thoughts, in_channels=self._in_channels)

    def _to_describe(self, form: AnswerForm, window: int) -> AnswerForm:
        """`form` with a description of its format that is short enough for the window."""
        described = None if self._hides_format else form.described
        if described:
            described = replace(
                described, most_chars=min(MAX_DESCRIPTION, int(window * DESCRIPTION_SHARE))
            )
        return replace(form, described=described)

    async def _prompt(
        self, request: ChatRequest, window: int, form: AnswerForm
    ) -> tuple[list[int], bool | None]:
        """The prompt's token ids, and Prepared.thinking."""
        pieces = await self._render(request, window, form)
        thinking = self._thinking(form, pieces)
        return await self._encode_prompt(pieces), thinking

    async def _render(self, request: ChatRequest, window: int, form: AnswerForm) -> list[Piece]:
        """The prompt as text.

        A conversation that cannot fit in `window` tokens is rejected before rendering.
        """
        size = sum(map(_size, request.messages)) + sum(len(str(tool)) for tool in form.tools)
        if size > window * self._longest_token:
            raise _prompt_too_long(window, f"more than {size // self._longest_token}")
        return await self.template.render(
            request.messages,
            tools=form.tools,
            must_call=form.must_call,
            answer=form.described,
            variables=self._variables(request.reasoning_effort, form),
        )

    async def _encode_prompt(self, pieces: list[Piece]) -> list[int]:
        if sum(len(text) for text, _ in pieces) <= _QUICK_CHARS:
            return self.tokenizer.encode_prompt(pieces)
        return await asyncio.to_thread(self.tokenizer.encode_prompt, pieces)

    async def _encode(self, text: str) -> list[int]:
        if len(text) <= _QUICK_CHARS:
            return self.tokenizer.encode(text)
        return await asyncio.to_thread(self.tokenizer.encode, text)

    def _variables(self, effort: ReasoningEffort | None, form: AnswerForm) -> dict[str, Any]:
        """The template variables for reasoning. A fixed answer format turns reasoning off."""
        if self.template.can_choose_to_think and not form.free:
            effort = "none"
        if effort is None:
            return {}
        if self._in_channels:
            if effort not in _EFFORTS:
                raise faults.unsupported_value("reasoning_effort", effort, _EFFORTS)
            return {"reasoning_effort": effort}
        if not self.template.can_choose_to_think:
            raise faults.unsupported("reasoning_effort")
        return {"enable_thinking": effort != "none", "reasoning_effort": effort}

    def _thinking(self, form: AnswerForm, pieces: list[Piece]) -> bool | None:
        """See Prepared. If the answer's format is fixed, reasoning that `pieces` begin is ended."""
        marks = self.template.thought_marks
        if marks is None:
            return None
        begun = is_thinking("".join(text for text, _ in pieces[-2:]), marks)
        if form.free:
            return begun
        if begun:
            end = (marks.end, marks.end in self.tokenizer.control_tokens)
            pieces += [("\n", False), end, ("\n\n", False)]
        return None

    def _check_tokens(self, biased: dict[int, float]) -> None:
        """Raise InvalidRequest for unknown token ids."""
        most = self.tokenizer.vocab_size - 1
        for token in biased:
            if token > most:
                raise InvalidRequest(
                    f"Invalid key in 'logit_bias': {token}. Maximum value is {most}.",
                    param="logit_bias",
                )

    async def _warm(self) -> None:
        with contextlib.suppress(MinikinError):
            await self.grammars.warm()

    def _vocabulary(self) -> Vocabulary:
        return Vocabulary(self.tokenizer.free_bytes(), sorted(self.tokenizer.eos_ids))


def _size(message: dict[str, Any]) -> int:
    """The number of characters of a message's content."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return len(content)
    return sum(len(part.get("text", "")) for part in content)


def _prompt_too_long(window: int, tokens: str) -> InvalidRequest:
    return InvalidRequest(
        f"This model's maximum context length is {window} tokens. However, your messages resulted "
        f"in {tokens} tokens. Please reduce the length of the messages.",
        param="messages",
        code="context_length_exceeded",
    )
