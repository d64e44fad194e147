"""A model's own chat template: messages in, pieces of prompt text out."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jinja2

from minikin.chat.call_formats import format_of
from minikin.chat.lookalikes import LookAlikes
from minikin.chat.messages import Message, alternating, for_template
from minikin.chat.sandbox import Sandbox, TemplateRefusalError, TemplateTimeoutError, time_limit
from minikin.chat.tools import with_tools
from minikin.errors import InvalidRequest, MinikinError, ModelFileError

log = logging.getLogger(__name__)

MAX_SECONDS = 1.0
"""CPU time of one rendering: many times what four megabytes of messages take."""
_SAMPLE = "Hello there"

MAX_OUTPUT_CHARS = 32 * 1024 * 1024
"""More than any request body renders to; a template that emits more is broken or hostile."""


class TemplateError(MinikinError):
    """The model's chat template failed at rendering a conversation that it should render."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The model's chat template failed: {reason}", code="template_error")


class ChatTemplate:
    """Renders conversations as the model was trained to read them.

    `source` is Jinja, `control_tokens` the spellings of the model's control tokens, `bos` and `eos`
    those of its first and last token. Raises ModelFileError if `source` is no valid Jinja.
    """

    def __init__(
        self,
        source: str,
        control_tokens: Iterable[str],
        bos: str | None = None,
        eos: str | None = None,
    ) -> None:
        try:
            self._template = Sandbox().from_string(source)
        except (jinja2.TemplateError, RecursionError) as error:
            raise ModelFileError(f"The model's chat template is no valid Jinja: {error}") from error
        self._source = source
        self.call_format = format_of(source)
        """How the model writes tool calls."""
        self._lookalikes = LookAlikes(control_tokens)
        self._constants = {"bos_token": bos or "", "eos_token": eos or ""}

    def try_out(self) -> None:
        """Render a small conversation. Raises ModelFileError if that fails or takes too long."""
        try:
            pieces = self.render([{"role": "user", "content": _SAMPLE}])
        except MinikinError as error:
            raise ModelFileError(error.message) from error
        if _SAMPLE not in "".join(text for text, _ in pieces):
            raise ModelFileError("The model's chat template leaves out what the user says.")

    def render(
        self,
        messages: Iterable[Mapping[str, Any]],
        *,
        tools: Sequence[dict[str, Any]] = (),
        must_call: bool = False,
    ) -> list[tuple[str, bool]]:
        """The prompt that asks for the next assistant message, as (text, is_control) pieces.

        Only control tokens that the template itself writes are marked as such; the same spelling in
        any string of `messages` or `tools` stays text. Roles, names and orders that the template
        doesn't know are rewritten to what it does know (`messages.py`), and so are tools; with
        `must_call` the model is told then to call one (`tools.py`).

        Raises InvalidRequest with the template's own words if it refuses the conversation even so,
        TemplateError if it fails in any other way.
        """
        if tools and not self.call_format.native:
            messages = with_tools(list(messages), tools, self.call_format, must=must_call)
            tools = ()
        prepared = for_template(messages, self._source, self._lookalikes.hide)
        hidden_tools = self._lookalikes.hide(list(tools)) or None
        try:
            text = self._render(prepared, hidden_tools)
        except TemplateRefusalError:
            text = self._render_alternating(prepared, hidden_tools)
        return self._lookalikes.split(text)

    def _render_alternating(
        self, messages: list[Message], tools: list[dict[str, Any]] | None
    ) -> str:
        try:
            return self._render(alternating(messages), tools)
        except TemplateRefusalError as refusal:
            raise InvalidRequest(
                f"The model's chat template refuses these messages: {refusal}", param="messages"
            ) from refusal

    def _render(self, messages: list[Message], tools: list[dict[str, Any]] | None) -> str:
        values = {"messages": messages, "tools": tools, "add_generation_prompt": True}
        try:
            with time_limit(MAX_SECONDS):
                return self._joined(self._template.generate(**values, **self._constants))
        except (TemplateRefusalError, MinikinError):
            raise
        except TemplateTimeoutError as error:
            raise TemplateError(f"it ran over {MAX_SECONDS} s") from error
        except Exception as error:  # a template can raise anything that Python can
            log.warning("the chat template failed: %s: %s", type(error).__name__, error)
            raise TemplateError(type(error).__name__) from error

    @staticmethod
    def _joined(written: Iterable[str]) -> str:
        parts: list[str] = []
        size = 0
        for part in written:
            parts.append(part)
            size += len(part)
            if size > MAX_OUTPUT_CHARS:
                raise TemplateError(f"it wrote over {MAX_OUTPUT_CHARS} characters")
        return "".join(parts)
