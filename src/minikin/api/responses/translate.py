"""Turns a decoded JSON body into a checked request for a response.

It happens in two steps, because the context of a request can be in the store: `read` checks the
body, and `Body.with_context` what depends on the items before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from minikin.api.request import faults
from minikin.api.request.answer_request import AnswerRequest
from minikin.api.request.parameter import check_each
from minikin.api.request.translate import Limits
from minikin.api.responses import normal_form
from minikin.api.responses.combinations import check_context, check_input, check_model
from minikin.api.responses.messages import Item, to_messages, turns
from minikin.api.responses.parameters import TABLE
from minikin.api.responses.strangers import check_names, moved
from minikin.api.responses.tool_rules import HOSTED
from minikin.errors import InvalidRequest

COUNTED = (
    "input", "previous_response_id", "conversation", "tools", "text", "tool_choice",
    "parallel_tool_calls", "reasoning", "truncation", "instructions",
)  # fmt: skip
"""The parameters that change the number of input tokens."""


class ResponseRequest(AnswerRequest, frozen=True, kw_only=True):
    """A request for a response."""

    prompt_param: ClassVar[str] = "input"
    effort_param: ClassVar[str] = "reasoning.effort"

    input: list[Item]
    """The new items."""
    context: tuple[Item, ...] = ()
    """The items before them."""
    instructions: str | None = None
    stream: bool = False
    include_obfuscation: bool = True
    background: bool = False
    store: bool = True
    previous_response_id: str | None = None
    conversation: str | None = None
    """The id of the conversation."""
    custom_tools: frozenset[str] = frozenset()
    """The names of tools whose calls have a text instead of arguments."""
    raw_tools: frozenset[str] = frozenset()
    """Those of them whose text the model writes without escapes (see SchemaPart.lark)."""
    with_logprobs: bool = False
    top_logprobs: int = 0
    truncates: bool = False
    """Whether the oldest messages can be dropped."""
    settings: dict[str, Any] = msgspec.field(default_factory=dict)
    """The settings that the response shows."""
    dropped_tools: tuple[str, ...] = ()
    """The types of hosted tools that were left out."""

    def place_of_function(self, at: int) -> str:
        """See AnswerRequest."""
        return f"tools[{at}]"

    def place_of_schema(self, *, strict: bool) -> tuple[str, str | None]:
        """See AnswerRequest."""
        return "text.format.schema", "invalid_json_schema"

    def too_long(self, window: int, tokens: str) -> InvalidRequest:
        """See AnswerRequest."""
        return InvalidRequest(
            "Your input exceeds the context window of this model. Please adjust your input and "
            "try again.",
            param="input",
            code="context_length_exceeded",
        )

    @property
    def droppable(self) -> int:
        """See AnswerRequest."""
        return max(len(turns(self._without_instructions)) - 1, 0) if self.truncates else 0

    def without_oldest(self, count: int) -> AnswerRequest:
        """See AnswerRequest."""
        kept = [message for turn in turns(self._without_instructions)[count:] for message in turn]
        first = self.messages[:1] if self.instructions else []
        return msgspec.structs.replace(self, messages=[*first, *kept])

    @property
    def _without_instructions(self) -> list[dict[str, Any]]:
        return self.messages[1:] if self.instructions else self.messages


class Body(msgspec.Struct, frozen=True):
    """A body that satisfies every rule of its own fields."""

    model: str
    values: dict[str, Any]
    limits: Limits
    dropped_tools: tuple[str, ...] = ()

    @property
    def input(self) -> list[Item]:
        """The new items, before references to items are resolved."""
        return normal_form.items(self.values["input"])

    @property
    def conversation(self) -> str | None:
        """The id of the conversation."""
        given = self.values.get("conversation")
        return given and normal_form.conversation_id(given)

    def with_context(self, context: Sequence[Item], new: Sequence[Item]) -> ResponseRequest:
        """The request, with the items before its input, and those of its input.

        Raises InvalidRequest for what the model cannot do, and for calls without an output.
        """
        fields: dict[str, Any] = {**TABLE.request(self.values), "input": list(new)}
        items = [*context, *new]
        check_input(self.values)
        check_model(self.values, self.model, self.limits)
        check_context(self.values, items)
        sampling = TABLE.sampling(self.values)
        if fields.get("with_logprobs"):
            sampling["top_logprobs"] = fields.get("top_logprobs", 0)
        return ResponseRequest(
            model=self.model,
            messages=to_messages(items, fields.get("instructions")),
            context=tuple(context),
            sampling=sampling,
            settings=TABLE.settings(self.values),
            dropped_tools=self.dropped_tools,
            **fields,
        )


def read(body: Any, limits: Limits, only: Sequence[str] | None = None) -> Body:
    """The checked body. `only` are the names of the parameters to accept, if not all.

    Raises InvalidRequest with the error that OpenAI would report: presence of `model` and `input`,
    unknown fields, then each field in the order of the table, then the name of the model.
    """
    if not isinstance(body, dict):
        raise faults.no_object(body)
    if only is not None and body.get("input") is None:
        body = body | {"input": []}  # a count needs no new items
    _check_presence(body)
    parameters = TABLE.served(extensions=limits.extensions)
    if only is not None:
        parameters = tuple(p for p in parameters if p.name in only)
    check_names(body, {"model", *(parameter.name for parameter in parameters)})
    model = _text(body["model"])
    if body["input"] is None:
        raise faults.wrong_type("input", "a string", {})  # as OpenAI reports a null
    values = check_each(body, parameters)
    if model not in limits.models:
        raise _no_model(model)
    if limits.extensions:
        return _without_hosted_tools(Body(model, values, limits))
    return Body(model, values, limits)


def _without_hosted_tools(body: Body) -> Body:
    """`body` with only the tools that this server has: Codex always sends others too."""
    tools = body.values.get("tools", [])
    dropped = tuple(tool["type"] for tool in tools if tool["type"] in HOSTED)
    kept = [tool for tool in tools if tool["type"] not in HOSTED]
    values = body.values | ({"tools": kept} if dropped else {})
    return msgspec.structs.replace(body, values=values, dropped_tools=dropped)


def _check_presence(body: dict[str, Any]) -> None:
    if "model" not in body:
        raise faults.missing("model")
    if "input" not in body:
        raise moved("messages") if "messages" in body else faults.missing("input")


def _text(model: Any) -> str:
    if not isinstance(model, str):
        raise faults.wrong_type("model", "a string", {} if model is None else model)
    return model


def _no_model(name: str) -> InvalidRequest:
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name[:64])
    return InvalidRequest(
        f"The requested model '{shown}' does not exist.", param="model", code="model_not_found"
    )
