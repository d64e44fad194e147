"""Turns a decoded JSON body into a frozen request. Requests are checked only here."""

from __future__ import annotations

from typing import Any

import msgspec

from minikin.api.request import faults
from minikin.api.request.answer_request import AnswerRequest
from minikin.api.request.combinations import AFTER_UNKNOWN, BEFORE_UNKNOWN
from minikin.api.request.parameter import check_each
from minikin.api.request.parameters import ORIGINAL_WINDOW, TABLE
from minikin.config import MAX_CHOICES
from minikin.engine.messages import SamplingParams
from minikin.errors import ContextExceeded, InvalidRequest, NotFound


class ChatRequest(AnswerRequest, frozen=True, kw_only=True):
    """A chat completion request."""

    stream: bool = False
    include_usage: bool = False
    include_obfuscation: bool = True
    store: bool = False
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    legacy_calls: bool = False
    """Whether the request uses `functions`, and so expects a `function_call`."""
    settings: dict[str, Any] = msgspec.field(default_factory=dict)
    """The settings that a stored completion shows."""

    def place_of_function(self, at: int) -> str:
        """See AnswerRequest."""
        return f"functions[{at}]" if self.legacy_calls else f"tools[{at}].function"

    def place_of_schema(self, *, strict: bool) -> tuple[str, str | None]:
        """See AnswerRequest."""
        return ("response_format" if strict else "response_format.json_schema.schema"), None

    def too_long(self, window: int, tokens: str) -> InvalidRequest:
        """See AnswerRequest."""
        return InvalidRequest(
            f"This model's maximum context length is {window} tokens. However, your messages "
            f"resulted in {tokens} tokens. Please reduce the length of the messages.",
            param="messages",
            code="context_length_exceeded",
        )

    def check_limit(self, window: int, prompt: int) -> None:
        """Raise ContextExceeded for a limit that exceeds even OpenAI's window."""
        if (asked := self.max_tokens or 0) > ORIGINAL_WINDOW:
            raise ContextExceeded(window, prompt, asked)

    def sampled_with(self, params: SamplingParams) -> ChatRequest:
        """This request with the defaults of its answer, for storing."""
        used = {name: getattr(params, name) for name in ("temperature", "top_p")}
        return msgspec.structs.replace(self, settings=self.settings | used)


class Limits(msgspec.Struct, frozen=True):
    """The limits of a server for its requests."""

    models: frozenset[str]
    max_choices: int = MAX_CHOICES
    extensions: bool = False
    """Whether the server accepts parameters that OpenAI does not have."""


def translate(body: Any, limits: Limits) -> ChatRequest:
    """The request in `body`, a decoded JSON value.

    Raises InvalidRequest with the error that OpenAI would report, and NotFound for an unknown
    model. The order is that of recorded requests with two errors: the model, then the type and
    range of each parameter, then the rules that combine several parameters.
    """
    if not isinstance(body, dict):
        raise faults.no_object(body)
    model = check_model(body.get("model"), limits.models)
    if "messages" not in body:
        raise faults.missing("messages")
    parameters = TABLE.served(extensions=limits.extensions)
    values = check_each(body, parameters)
    if values.get("n", 1) > limits.max_choices:
        raise faults.out_of_range("n", "integer", values["n"], limits.max_choices, above=True)
    for check in BEFORE_UNKNOWN:
        check(values)
    known = {"model", *(parameter.name for parameter in parameters)}
    if strangers := [name[:64] for name in body if name not in known]:
        raise faults.unrecognized(strangers[:16])
    for check in AFTER_UNKNOWN:
        check(values)
    return _chat_request(model, values)


def check_model(name: Any, models: frozenset[str]) -> str:
    """`name`, if the server has this model. Raises InvalidRequest or NotFound."""
    if name is None or name == "":
        raise InvalidRequest("you must provide a model parameter")
    if not isinstance(name, str):
        raise faults.wrong_type("model", "a string", name)
    if name not in models:
        shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name[:64])
        raise NotFound(
            f"The model `{shown}` does not exist or you do not have access to it.",
            code="model_not_found",
        )
    return name


def _chat_request(model: str, values: dict[str, Any]) -> ChatRequest:
    given = TABLE.with_defaults(values)
    return ChatRequest(
        model=model,
        sampling=TABLE.sampling(given),
        settings=TABLE.settings(given),
        **TABLE.request(given),
    )
