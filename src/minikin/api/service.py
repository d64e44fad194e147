"""What the routes share: the model's parts, and the places for requests in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from minikin.api.answer_forms import AnswerForm, answer_form
from minikin.api.seams import Engine, Tokenizer
from minikin.api.store import CompletionStore
from minikin.api.translate import ChatRequest, Limits
from minikin.chat.template import ChatTemplate
from minikin.config import ServerSettings
from minikin.constrain.checker import GrammarChecker
from minikin.constrain.worker import Vocabulary
from minikin.engine.messages import GenerationRequest
from minikin.errors import ContextExceeded, InvalidRequest, Overloaded

_QUICK_CHARS = 16_384
"""Prompts up to this size are encoded on the event loop; it takes a few milliseconds."""


class Service:
    """One server's state: everything but its HTTP."""

    def __init__(
        self,
        settings: ServerSettings,
        engine: Engine,
        tokenizer: Tokenizer,
        template: ChatTemplate,
    ) -> None:
        self.settings = settings
        self.engine = engine
        self.tokenizer = tokenizer
        self.models = (settings.model_id, *settings.aliases)
        self.limits = Limits(
            models=frozenset(self.models),
            vocab_size=tokenizer.vocab_size,
            max_choices=settings.max_choices,
            extensions=settings.extensions,
        )
        self.store = CompletionStore(settings.database)
        self.grammars = GrammarChecker(self._vocabulary)
        self.draining = False
        self.in_flight = 0
        self.idle = asyncio.Event()
        self.idle.set()
        self._template = template
        self._longest_token = max(
            len(tokenizer.token_bytes(token)) for token in range(tokenizer.vocab_size)
        )

    @property
    def is_ready(self) -> bool:
        """Whether a new request would be answered."""
        return self.engine.is_ready and not self.draining

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place for one request. Raises Overloaded if there is none, or no more."""
        if self.draining:
            raise Overloaded("The server is shutting down.", retry_after=5)
        if self.in_flight >= self.settings.max_queued:
            raise Overloaded("The server has too many requests to answer. Try again in a moment.")
        self.in_flight += 1
        self.idle.clear()
        try:
            yield
        finally:
            self.in_flight -= 1
            if not self.in_flight:
                self.idle.set()

    async def generation(
        self, request: ChatRequest, request_id: str
    ) -> tuple[GenerationRequest, AnswerForm]:
        """The engine's request for a chat request, and the form that its answers will have.

        Raises ContextExceeded if prompt and answer don't fit the model's window, InvalidRequest if
        the prompt alone doesn't or a schema can't be followed, Overloaded while there is no model.
        """
        window = self.engine.info.context_length
        form = answer_form(request, self._template.call_format)
        prompt = await self.prompt(request.messages, window, form)
        room = window - len(prompt)
        if room < 1:
            raise _prompt_too_long(window, str(len(prompt)))
        if request.max_tokens is not None and request.max_tokens > room:
            raise ContextExceeded(window, len(prompt), request.max_tokens)
        await form.check(self.grammars)
        most = request.max_tokens or min(self.settings.default_max_tokens, room)
        # More than the window holds can't come true.
        prediction = await self._tokens(request.prediction[: window * self._longest_token])
        params = request.sampling_params(most, prediction, form.grammar)
        generation = GenerationRequest(id=request_id, prompt=prompt, params=params, n=request.n)
        return generation, form

    async def _tokens(self, text: str) -> list[int]:
        """The token ids of plain text."""
        if len(text) <= _QUICK_CHARS:
            return self.tokenizer.encode(text)
        return await asyncio.to_thread(self.tokenizer.encode, text)

    async def prompt(
        self, messages: Sequence[dict[str, Any]], window: int, form: AnswerForm
    ) -> list[int]:
        """The token ids of the rendered `messages`, and of the tools that `form` has.

        Text that can't fit in `window` tokens, however it is split, is refused unencoded.
        """
        size = sum(map(_size, messages)) + sum(len(str(tool)) for tool in form.tools)
        if size > window * self._longest_token:
            raise _prompt_too_long(window, f"more than {size // self._longest_token}")
        if size <= _QUICK_CHARS:
            return self._encode(messages, form)
        return await asyncio.to_thread(self._encode, messages, form)

    def _encode(self, messages: Sequence[dict[str, Any]], form: AnswerForm) -> list[int]:
        pieces = self._template.render(messages, tools=form.tools, must_call=form.must_call)
        return self.tokenizer.encode_pieces(pieces)

    def _vocabulary(self) -> Vocabulary:
        size = self.tokenizer.vocab_size
        tokens = [self.tokenizer.token_bytes(token) for token in range(size)]
        return Vocabulary(tokens, sorted(self.tokenizer.eos_ids))


def _size(message: dict[str, Any]) -> int:
    """Characters of a message's content."""
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
