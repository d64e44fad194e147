"""One loaded model: turns a checked request into a request for its engine."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar

from msgspec.json import encode
from msgspec.structs import replace

from minikin.api.answer.answer_forms import AnswerForm, answer_form
from minikin.api.answer.prepared import Prepared
from minikin.api.request import faults
from minikin.api.request.affinity import affinity_key
from minikin.api.request.answer_request import AnswerRequest, ReasoningEffort
from minikin.chat.schema_text import MAX_CHARS
from minikin.chat.template_process import TemplateProcess
from minikin.chat.thoughts import is_thinking
from minikin.constrain.checker import GrammarChecker
from minikin.constrain.worker import Vocabulary
from minikin.engine.host.client import EngineClient
from minikin.engine.messages import GenerationRequest, Opening
from minikin.errors import InvalidRequest, MinikinError
from minikin.machine import side_threads
from minikin.marks import CHANNEL
from minikin.tokenizer.tokenizer import Tokenizer

_QUICK_CHARS = 16_384
"""Prompts up to this size are encoded on the event loop, in a few milliseconds."""
LARGE_SCHEMAS = 65_536
"""Bytes of schemas and tools. Fewer are read on the event loop, in about a millisecond."""
MAX_DESCRIPTION = MAX_CHARS
"""Characters of a description of the answer's format, whatever the window."""
DESCRIPTION_SHARE = 0.5
"""Maximum characters of this description for each token of the window."""
LEAST_ROOM = 256
"""Tokens. If a description of the answer's format leaves less for the answer, it is removed."""
_EFFORTS: tuple[ReasoningEffort, ...] = ("low", "medium", "high")
"""The efforts that gpt-oss was trained for."""
_T = TypeVar("_T")
Piece = tuple[str, bool]
"""A text, and whether it is a control token."""


class ServedModel:
    """The parts of a model: the engine, and everything between it and OpenAI's requests.

    Tests use a scripted engine, a byte tokenizer and a template without limits instead.
    """

    def __init__(
        self,
        engine: EngineClient,
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
        self.sampling = {name: sampling[name] for name in sampling if name != "call_bias"}
        """The default SamplingParams of requests."""
        self._call_bias = sampling.get("call_bias", 0.0)
        self._in_channels = template.in_channels and CHANNEL in tokenizer.frame_marks
        self.grammars = GrammarChecker(self._vocabulary)
        self._longest_token = max(map(len, map(tokenizer.token_bytes, range(tokenizer.vocab_size))))
        self._warming: asyncio.Task[None] | None = None

    def warm(self) -> None:
        """Start the processes that only some requests need."""
        self._warming = asyncio.create_task(self._warm())

    async def stop(self) -> None:
        """Stop the model's processes. Running answers end with ShuttingDown."""
        if self._warming:
            self._warming.cancel()
        await self.engine.stop()
        await self.template.stop()
        await self.grammars.stop()

    async def prepare(
        self,
        request: AnswerRequest,
        request_id: str,
        *,
        owner: str,
        default_max_tokens: int,
        gives_way: bool = False,
    ) -> Prepared:
        """Turn a request into a request for the engine.

        The engine reuses only prompts of the same `owner`. A request in the background gives way
        to all others.

        The answer's limit is reduced to the rest of the window. Raises InvalidRequest if the prompt
        does not fit the window, the limit is an error for its API, a schema is not supported, a
        token does not exist or the model has no setting for its reasoning.
        """
        window = self.engine.info.context_length
        # First of all, because only the number of new schemas that wait here is bounded.
        form = await self._form(request)
        prompt, thinking = await self._prompt(request, window, form)
        asked = default_max_tokens if request.max_tokens is None else request.max_tokens
        room = window - len(prompt)
        if room < min(1, asked):
            raise request.too_long(window, str(len(prompt)))
        request.check_limit(window, len(prompt))
        in_channels = self._in_channels and request.raw_prompt is None
        thoughts = self.template.thought_marks if self.template.reasons else None
        grammar = await form.after(thoughts, thinking).grammar(self.grammars)
        unsearched = form.unsearched(thoughts, thinking, in_channels=in_channels)
        most = min(asked, room)
        # A prediction beyond the window cannot come true.
        predicted = request.prediction[: window * self._longest_token]
        prediction = await self._encode(predicted) if predicted else []
        begin = form.opening(request.messages) if self._call_bias else ""
        opening = Opening(tuple(self.tokenizer.encode(begin)), self._call_bias)
        params = request.sampling_params(
            most, prediction, grammar, unsearched, opening, self.sampling
        )
        self._check_tokens(params.logit_bias)
        generation = GenerationRequest(
            id=request_id,
            prompt=prompt,
            params=params,
            n=request.n,
            scope=owner,
            gives_way=gives_way,
            session=affinity_key(request, owner),
        )
        return Prepared(generation, form, thinking, thoughts, in_channels=in_channels)

    def _to_describe(self, form: AnswerForm, window: int) -> AnswerForm:
        """`form` with a description of its format that is short enough for the window."""
        described = None if self._hides_format else form.described
        if described:
            described = replace(
                described, most_chars=min(MAX_DESCRIPTION, int(window * DESCRIPTION_SHARE))
            )
        return replace(form, described=described)

    async def count(self, request: AnswerRequest) -> int:
        """The number of tokens in the prompt of `prepare`. Raises InvalidRequest as it does."""
        form, window = await self._form(request), self.engine.info.context_length
        return len((await self._prompt(request, window, form))[0])

    async def _form(self, request: AnswerRequest) -> AnswerForm:
        """The format of the answers, with grammars that work."""
        marks = self.tokenizer.frame_marks
        schemas = len(encode((request.response_format, request.tools)))
        make = partial(answer_form, request, self.template.call_format, marks)
        form = make() if schemas < LARGE_SCHEMAS else await _in_thread(make)
        if self._in_channels:
            form = form.in_channels(marks)
        form = self._to_describe(form, self.engine.info.context_length)
        await form.grammar(self.grammars)
        return form

    async def _prompt(
        self, request: AnswerRequest, window: int, form: AnswerForm
    ) -> tuple[list[int], bool | None]:
        """The prompt's token ids, and Prepared.thinking.

        If the prompt is too long, what can be dropped is: the oldest messages, then a description
        of the answer's format.
        """
        if request.raw_prompt is not None:
            return await self._raw(request, request.raw_prompt, window), None
        kept = await self._kept(request, window, form) if request.droppable else request
        prompt, thinking = await self._whole_prompt(kept, window, form)
        if form.described and window - len(prompt) < LEAST_ROOM:
            return await self._whole_prompt(kept, window, replace(form, described=None))
        return prompt, thinking

    async def _raw(self, request: AnswerRequest, prompt: str | list[int], window: int) -> list[int]:
        """The token ids of a prompt without a template."""
        if isinstance(prompt, list):
            most = self.tokenizer.vocab_size - 1
            for token in prompt:
                if not 0 <= token <= most:
                    raise faults.no_token(token, most)
            return prompt
        if len(prompt) > window * self._longest_token:
            raise request.too_long(window, f"more than {len(prompt) // self._longest_token}")
        return await self._encode_prompt([(prompt, False)])

    async def _kept(self, request: AnswerRequest, window: int, form: AnswerForm) -> AnswerRequest:
        """The request with as many of its newest messages as leave room for an answer."""
        room = min(request.max_tokens or LEAST_ROOM, window // 4)

        async def fits(dropped: int) -> bool:
            try:
                shorter = request.without_oldest(dropped)
                prompt, _ = await self._whole_prompt(shorter, window, form)
            except InvalidRequest:
                return False
            return len(prompt) + room <= window

        least, most = 0, request.droppable
        if not await fits(0):
            least = 1
        while 0 < least < most:
            middle = (least + most) // 2
            least, most = (least, middle) if await fits(middle) else (middle + 1, most)
        return request.without_oldest(least)

    async def _whole_prompt(
        self, request: AnswerRequest, window: int, form: AnswerForm
    ) -> tuple[list[int], bool | None]:
        if request.continues and self._in_channels:
            raise faults.unsupported("continue_final_message")
        pieces = await self._render(request, window, form)
        thinking = self._thinking(form, pieces, continues=request.continues)
        if request.continues:
            pieces.append((request.beginning, False))
        return await self._encode_prompt(pieces), thinking

    async def _render(self, request: AnswerRequest, window: int, form: AnswerForm) -> list[Piece]:
        """The prompt as text.

        A conversation that cannot fit in `window` tokens is rejected before rendering.
        """
        size = sum(map(_size, request.messages)) + sum(map(len, map(encode, form.tools)))
        if size > window * self._longest_token:
            raise request.too_long(window, f"more than {size // self._longest_token}")
        variables = self._variables(request, form)
        try:
            return await self.template.render(
                request.messages[:-1] if request.continues else request.messages,
                tools=form.tools,
                must_call=form.must_call,
                answer=form.described,
                variables=variables,
            )
        except InvalidRequest as refusal:
            raise InvalidRequest(refusal.message, param=request.prompt_param) from refusal

    async def _encode_prompt(self, pieces: list[Piece]) -> list[int]:
        if sum(len(text) for text, _ in pieces) <= _QUICK_CHARS:
            return self.tokenizer.encode_prompt(pieces)
        return await _in_thread(lambda: self.tokenizer.encode_prompt(pieces))

    async def _encode(self, text: str) -> list[int]:
        if len(text) <= _QUICK_CHARS:
            return self.tokenizer.encode(text)
        return await _in_thread(lambda: self.tokenizer.encode(text))

    def _variables(self, request: AnswerRequest, form: AnswerForm) -> dict[str, Any]:
        """The template variables for reasoning. A fixed format or a beginning turns it off."""
        effort = request.reasoning_effort
        if self.template.can_choose_to_think and (not form.free or request.continues):
            effort = "none"
        if effort is None:
            return {}
        if self._in_channels:
            if effort not in _EFFORTS:
                raise faults.unsupported_value(request.effort_param, effort, _EFFORTS)
            return {"reasoning_effort": effort}
        if not self.template.can_choose_to_think:
            raise faults.unsupported(request.effort_param)
        return {"enable_thinking": effort != "none", "reasoning_effort": effort}

    def _thinking(self, form: AnswerForm, pieces: list[Piece], *, continues: bool) -> bool | None:
        """See Prepared. A fixed format or a beginning ends the reasoning that `pieces` begin."""
        marks = self.template.thought_marks
        begun = is_thinking("".join(text for text, _ in pieces[-2:]), marks)
        if form.free and not continues:
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


_threads = ThreadPoolExecutor(side_threads(), thread_name_prefix="prompt")
"""Apart from those of large bodies, which do not wait for prompts then."""


async def _in_thread(work: Callable[[], _T]) -> _T:
    return await asyncio.get_running_loop().run_in_executor(_threads, work)


_RENDERED = frozenset({"content", "text", "refusal", "arguments", "tool_calls", "function",
                       "function_call"})  # fmt: skip
"""The parts of a message whose texts are parts of the prompt."""


def _size(value: Any) -> int:
    """The number of characters of a message in the prompt, at least."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(_size(value[name]) for name in _RENDERED & value.keys())
    return sum(map(_size, value)) if isinstance(value, list) else 0
