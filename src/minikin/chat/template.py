"""A model's own chat template: messages in, pieces of prompt text out."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jinja2

from minikin.chat.call_formats import format_of
from minikin.chat.harmony import described, in_channels
from minikin.chat.lookalikes import LookAlikes
from minikin.chat.messages import Message, alternating, for_template
from minikin.chat.sandbox import Sandbox, TemplateRefusalError
from minikin.chat.tools import with_tools
from minikin.errors import InvalidRequest, MinikinError, ModelFileError, TemplateError

log = logging.getLogger(__name__)

_SAMPLE = "Hello there"
MAX_OUTPUT_CHARS = 32 * 1024 * 1024
"""More than any request body renders to; a template that emits more is broken or hostile."""


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
        variables: Mapping[str, Any] | None = None,
    ) -> list[tuple[str, bool]]:
        """The prompt that asks for the next assistant message, as (text, is_control) pieces.

        Only control tokens that the template itself writes are marked as such; the same spelling in
        any string of `messages` or `tools` stays text. Roles, names and orders that the template
        doesn't know are rewritten to what it does know (`messages.py`), and so are tools; with
        `must_call` the model is told then to call one (`tools.py`). `variables` are further names
        that the template may know, such as enable_thinking.

        Raises InvalidRequest with the template's own words if it refuses the conversation even so,
        TemplateError if it fails in any other way.
        """
        if tools and not self.call_format.native:
            messages = with_tools(list(messages), tools, self.call_format, must=must_call)
            tools = ()
        if in_channels(self._source):
            tools = described(list(tools))
        prepared = for_template(messages, self._source, self._lookalikes.hide)
        values = {**(variables or {}), "tools": self._lookalikes.hide(list(tools)) or None}
        try:
            text = self._render(prepared, values)
        except TemplateRefusalError:
            text = self._render_alternating(prepared, values)
        return self._lookalikes.split(text)

    def _render_alternating(self, messages: list[Message], values: dict[str, Any]) -> str:
        try:
            return self._render(alternating(messages), values)
        except TemplateRefusalError as refusal:
            raise InvalidRequest(
                f"The model's chat template refuses these messages: {refusal}", param="messages"
            ) from refusal

    def _render(self, messages: list[Message], values: dict[str, Any]) -> str:
        values = values | {"messages": messages, "add_generation_prompt": True} | self._constants
        try:
            return self._joined(self._template.generate(values))
        except (TemplateRefusalError, MinikinError):
            raise
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
