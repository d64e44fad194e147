"""A model's own chat template: turns messages into pieces of prompt text."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from minikin.chat.answer_format import AnswerFormat, with_format
from minikin.chat.call_formats import format_of
from minikin.chat.harmony import described, in_channels
from minikin.chat.lookalikes import LookAlikes
from minikin.chat.losses import REPAIRS, Repair, holds, lost, probed, structure
from minikin.chat.messages import (
    Message,
    alternating,
    for_template,
    with_text_arguments,
    with_written_calls,
)
from minikin.chat.sandbox import Sandbox, TemplateRefusalError
from minikin.chat.tools import in_system_message, with_tools
from minikin.errors import InvalidRequest, MinikinError, ModelFileError, TemplateError

log = logging.getLogger(__name__)

_SAMPLE = "Hello there"
_IN_MESSAGE = re.compile(r"""message(\.tools\b|\[['"]tools['"]\])""")
"""How Phi-4-mini's template reads the tools: from a field of the system message."""
PLAIN = (
    "{% for message in messages %}{{ message.content }}"
    "{% if not loop.last %}{{ '\\n\\n' }}{% endif %}{% endfor %}"
)
"""For a file without a template, most likely a base model: it continues the text."""
_MOST_STRUCTURES = 256
MAX_OUTPUT_CHARS = 32 * 1024 * 1024
"""More than any request renders to. A template that writes more is broken or malicious."""


class ChatTemplate:
    """Renders conversations in the format of the model's training.

    `source` is Jinja, `control_tokens` are the texts of the model's control tokens, `bos` and `eos`
    those of its first and last token. Raises ModelFileError if `source` is not valid Jinja.
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
        except Exception as error:  # Python's compiler raises errors of its own
            raise ModelFileError(
                f"The model's chat template is not valid Jinja: {error}"
            ) from error
        self._source = source
        self.call_format = format_of(source)
        """How the model writes tool calls."""
        self._lookalikes = LookAlikes(control_tokens)
        self._repairs: dict[object, tuple[Repair, set[int]]] = {}
        """How to keep every message, by the structure of the conversation."""
        self._constants = {"bos_token": bos or "", "eos_token": eos or ""}

    def try_out(self) -> None:
        """Render a small conversation. Raises ModelFileError if that fails or takes too long."""
        try:
            pieces = self.render([{"role": "user", "content": _SAMPLE}])
        except MinikinError as error:
            raise ModelFileError(error.message) from error
        if _SAMPLE not in "".join(text for text, _ in pieces):
            raise ModelFileError("The model's chat template ignores the user's message.")

    def render(
        self,
        messages: Iterable[Mapping[str, Any]],
        *,
        tools: Sequence[dict[str, Any]] = (),
        must_call: bool = False,
        answer: AnswerFormat | None = None,
        variables: Mapping[str, Any] | None = None,
    ) -> list[tuple[str, bool]]:
        """The prompt for the next assistant message, as (text, is_control) pieces.

        Only control tokens from the template itself are marked as control. The same text in a
        string of `messages`, `tools` or `answer` stays text. Roles, names and orders that the
        template does not support are rewritten (`messages.py`), and so are tools. With `must_call`,
        the prompt then requires a call (`tools.py`). `answer` is the format of the answer, which
        the prompt describes (`answer_format.py`). `variables` are further variables of the
        template, such as enable_thinking.

        Raises InvalidRequest with the template's message if it still rejects the conversation,
        TemplateError for any other failure.
        """
        form, hide = self.call_format, self._lookalikes.hide
        if in_channels(self._source):
            tools = described(list(tools))
        prepared = for_template(messages, self._source, hide, form)
        values = {**(variables or {}), "tools": None}
        if tools and not form.native:
            prepared = with_tools(prepared, hide(list(tools)), form, must=must_call)
        elif tools and _IN_MESSAGE.search(self._source):
            prepared = in_system_message(prepared, hide(list(tools)))
        elif tools:
            values["xml_tools" if "xml_tools" in self._source else "tools"] = hide(list(tools))
        if answer:
            prepared = with_format(prepared, answer, self._source, hide)
        return self._lookalikes.split(self._render_whole(prepared, values))

    def _render_whole(self, messages: list[Message], values: dict[str, Any]) -> str:
        """Render the first form of the messages of which the template drops none, if any."""
        failure: MinikinError | None = None
        rendered = ""
        try:
            rendered = self._render_somehow(messages, values)
        except (TemplateError, InvalidRequest) as error:
            failure = error
        if failure is None and holds(messages, rendered):
            return rendered
        repaired = self._without_losses(messages, values)
        if repaired is not messages:
            return self._render_somehow(repaired, values)
        if failure:
            log.warning("The chat template failed: %r", failure.__cause__)
            raise failure
        return rendered

    def _without_losses(self, messages: list[Message], values: dict[str, Any]) -> list[Message]:
        key = structure(messages), frozenset(values), bool(values["tools"])
        if key not in self._repairs:
            if len(self._repairs) >= _MOST_STRUCTURES:
                self._repairs.clear()
            self._repairs[key] = self._repair(messages, values)
        repair, gone = self._repairs[key]
        return repair(messages, gone)

    def _repair(self, messages: list[Message], values: dict[str, Any]) -> tuple[Repair, set[int]]:
        gone = self._lost(messages, values)
        if gone:
            for repair in REPAIRS[1:]:
                if not self._lost(repair(messages, gone), values):
                    return repair, gone
        return REPAIRS[0], gone

    def _lost(self, messages: list[Message], values: dict[str, Any]) -> set[int]:
        try:
            return lost(messages, self._render_somehow(probed(messages), values))
        except MinikinError:
            return set(range(len(messages)))

    def _render_somehow(self, messages: list[Message], values: dict[str, Any]) -> str:
        """Render with the client's roles and calls, rewritten only if the template rejects them."""
        failure: TemplateError | None = None
        for form in (messages, with_text_arguments(messages), self._written(messages)):
            if failure and form == messages:
                continue
            try:
                return self._render(form, values)
            except TemplateRefusalError:
                return self._render_alternating(form, values)
            except TemplateError as error:
                failure = failure or error
        if values["tools"] is None:  # some templates use the tools without asking for them
            return self._render_somehow(messages, values | {"tools": []})
        assert failure
        raise failure

    def _written(self, messages: list[Message]) -> list[Message]:
        return with_written_calls(messages, self.call_format)

    def _render_alternating(self, messages: list[Message], values: dict[str, Any]) -> str:
        try:
            return self._render(alternating(messages, self.call_format), values)
        except TemplateRefusalError as refusal:
            raise InvalidRequest(
                f"The model's chat template rejects these messages: {refusal}", param="messages"
            ) from refusal

    def _render(self, messages: list[Message], values: dict[str, Any]) -> str:
        values = values | {"messages": messages, "add_generation_prompt": True} | self._constants
        try:
            return self._joined(self._template.generate(values))
        except (TemplateRefusalError, MinikinError):
            raise
        except Exception as error:  # a template can raise every Python exception
            raise TemplateError(type(error).__name__) from error

    @staticmethod
    def _joined(written: Iterable[str]) -> str:
        parts: list[str] = []
        size = 0
        for part in written:
            parts.append(part)
            size += len(part)
            if size > MAX_OUTPUT_CHARS:
                raise TemplateError(f"it wrote more than {MAX_OUTPUT_CHARS} characters")
        return "".join(parts)
