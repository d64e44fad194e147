"""Turns a decoded JSON body into a frozen request. Requests are checked only here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from minikin.api.request import faults
from minikin.api.request.combinations import AFTER_UNKNOWN, BEFORE_UNKNOWN
from minikin.api.request.destinations import DefaultOf, Request, Sampling, Setting
from minikin.api.request.message_rules import ToolChoice
from minikin.api.request.parameters import Parameter, ReasoningEffort, going_to, served_parameters
from minikin.config import MAX_CHOICES
from minikin.engine.messages import SamplingParams, Unsearched
from minikin.errors import InvalidRequest, NotFound

_SAMPLING = tuple(going_to(Sampling))
_REQUEST = tuple(going_to(Request))
_SETTINGS = tuple(going_to(Setting))
_DEFAULTS = tuple(going_to(DefaultOf))


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A chat completion request that satisfies every rule that needs no tokenizer."""

    model: str
    """The requested name, one of the server's names."""
    messages: list[dict[str, Any]]
    max_tokens: int | None = None
    """The output limit of the request."""
    n: int = 1
    stream: bool = False
    include_usage: bool = False
    include_obfuscation: bool = True
    store: bool = False
    metadata: dict[str, str] = {}
    response_format: dict[str, Any] = {}
    tools: list[dict[str, Any]] = []
    tool_choice: ToolChoice | dict[str, Any] = "auto"
    parallel_tool_calls: bool | None = None
    """Whether one answer can have several calls. None: the model's default."""
    legacy_calls: bool = False
    """Whether the request uses `functions`, and so expects a `function_call`."""
    reasoning_effort: ReasoningEffort | None = None
    """The effort for reasoning. None: the model's default."""
    sampling: dict[str, Any] = {}
    """Arguments of SamplingParams, without those of `sampling_params`."""
    prediction: str = ""
    """The answer that the client predicts."""
    settings: dict[str, Any] = {}
    """The settings that a stored completion shows."""

    def sampling_params(
        self,
        max_tokens: int,
        prediction: list[int],
        grammar: str | None,
        unsearched: tuple[Unsearched, ...],
        defaults: Mapping[str, Any],
    ) -> SamplingParams:
        """How to sample this request's answers, with at most `max_tokens` tokens each.

        `prediction` contains the token ids of the predicted text. The answers match `grammar`.
        Stop sequences have no effect in `unsearched` parts. `defaults` are the model's defaults
        for values that the request does not set.
        """
        return SamplingParams(
            max_tokens=max_tokens,
            prediction=tuple(prediction),
            grammar=grammar,
            unsearched=unsearched,
            **{**defaults, **self.sampling},
        )

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
    parameters = served_parameters(extensions=limits.extensions)
    values = _check_each(body, parameters, limits)
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


def _check_each(
    body: dict[str, Any], parameters: tuple[Parameter, ...], limits: Limits
) -> dict[str, Any]:
    """The parameters that are not null. Each satisfies its own rule."""
    values = {}
    for parameter in parameters:
        if parameter.name in body:
            value = parameter.rule.check(body[parameter.name], parameter.name)
            if value is not None:
                values[parameter.name] = value
    if values.get("n", 1) > limits.max_choices:
        raise faults.out_of_range("n", "integer", values["n"], limits.max_choices, above=True)
    return values


def _chat_request(model: str, values: dict[str, Any]) -> ChatRequest:
    given = _with_defaults(values)
    return ChatRequest(
        model=model,
        sampling=_fields(_SAMPLING, given),
        settings={to.field: given.get(p.name, to.default) for p, to in _SETTINGS},
        **_fields(_REQUEST, given),
    )


def _with_defaults(values: dict[str, Any]) -> dict[str, Any]:
    """The values, with those that one parameter gives to another."""
    implied = {
        to.parameter: to.convert(values[parameter.name])
        for parameter, to in _DEFAULTS
        if parameter.name in values
    }
    return {name: value for name, value in implied.items() if value is not None} | values


def _fields(
    places: Iterable[tuple[Parameter, Sampling | Request]], values: dict[str, Any]
) -> dict[str, Any]:
    return {
        to.field: to.convert(values[parameter.name])
        for parameter, to in places
        if parameter.name in values
    }
