"""Turns a decoded JSON body into a checked request for raw completions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import msgspec
from msgspec.structs import replace

from minikin.api.completions.parameters import DEFAULT_MAX_TOKENS, MAX_ECHOED, TABLE
from minikin.api.completions.prompt_rules import Prompt
from minikin.api.request import faults
from minikin.api.request.answer_request import AnswerRequest
from minikin.api.request.combinations import logit_bias_in_range, stream_options_need_stream
from minikin.api.request.destinations import Rejected
from minikin.api.request.parameter import check_each
from minikin.api.request.translate import Limits, check_model
from minikin.errors import InvalidRequest

Values = dict[str, Any]
"""The known parameters of the body, each already valid. Null values are removed."""


class CompletionRequest(AnswerRequest, frozen=True, kw_only=True):
    """A request for raw completions of one or more prompts. `n` answers are made to each."""

    prompt_param: ClassVar[str] = "prompt"

    messages: list[dict[str, Any]] = msgspec.field(default_factory=list)
    max_tokens: int | None = DEFAULT_MAX_TOKENS
    prompts: tuple[Prompt, ...]
    at: int = 0
    """The prompt whose answers this request is for."""
    kept: int = 1
    """How many of the `n` answers to a prompt are returned."""
    echo: bool = False
    logprobs: int | None = None
    """The number of alternatives of each token. None: no log probabilities."""
    stream: bool = False
    include_usage: bool = False

    @property
    def raw_prompt(self) -> Prompt:
        """See AnswerRequest."""
        return self.prompts[self.at]

    @property
    def prompt_logprobs(self) -> int | None:
        """See AnswerRequest."""
        return self.logprobs if self.echo else None

    def check_echoed(self, tokens: int) -> None:
        """Raise InvalidRequest for too many log probabilities of prompts with `tokens` together."""
        if self.prompt_logprobs is None:
            return
        wanted = tokens * self.n * (1 + self.prompt_logprobs)
        if wanted > MAX_ECHOED:
            raise InvalidRequest(
                f"'echo' with 'logprobs' asks for {wanted} log probabilities of prompts. Expected "
                f"at most {MAX_ECHOED}. Send fewer prompts in a request.",
                param="logprobs",
                code="invalid_value",
            )

    def of_prompt(self, at: int) -> CompletionRequest:
        """The request for the answers to one prompt."""
        return replace(self, at=at)

    def too_long(self, window: int, tokens: str) -> InvalidRequest:
        """See AnswerRequest."""
        return InvalidRequest(
            f"This model's maximum context length is {window} tokens. However, your prompt "
            f"resulted in {tokens} tokens. Please reduce the length of the prompt.",
            param="prompt",
            code="context_length_exceeded",
        )


def translate(body: Any, limits: Limits) -> CompletionRequest:
    """The request in `body`, a decoded JSON value.

    Raises InvalidRequest and NotFound, in the order of chat completions.
    """
    if not isinstance(body, dict):
        raise faults.no_object(body)
    model = check_model(body.get("model"), limits.models)
    if "prompt" not in body:
        raise faults.missing("prompt")
    values = check_each(body, TABLE.parameters)
    known = {"model", *(parameter.name for parameter in TABLE.parameters)}
    if strangers := [name[:64] for name in body if name not in known]:
        raise faults.unrecognized(strangers[:16])
    given = TABLE.with_defaults(values)
    for check in _COMBINED:
        check(given)
    request = CompletionRequest(model=model, sampling=TABLE.sampling(given), **TABLE.request(given))
    _check_choices(request, limits)
    if request.n > request.kept:  # ranked by the log probabilities
        return replace(request, sampling={"top_logprobs": 0} | request.sampling)
    return request


def _check_choices(request: CompletionRequest, limits: Limits) -> None:
    """Raise InvalidRequest for more answers than the server makes to one request."""
    if (choices := len(request.prompts) * request.n) > limits.max_choices:
        raise InvalidRequest(
            f"Invalid 'prompt': {len(request.prompts)} prompts with {request.n} answers each need "
            f"{choices} answers. Expected at most {limits.max_choices}.",
            param="prompt" if request.n == 1 else "best_of" if request.n > request.kept else "n",
            code="invalid_value",
        )


def _enough_to_choose_from(values: Values) -> None:
    kept, made = values.get("n", 1), values.get("best_of", 1)
    if kept > made:
        raise InvalidRequest(
            "You requested that the server return more choices than it will generate (HINT: you "
            f"must set 'n' (currently {kept}) to be at most 'best_of' (currently {made}), or omit "
            "either parameter if you don't specifically want to use them.)",
            param="best_of",
        )
    if made > kept and values.get("stream"):
        raise faults.clashes("best_of", "stream")


def _unserved(values: Values) -> None:
    for parameter, destination in TABLE.going_to(Rejected):
        if parameter.name in values:
            raise destination.error(parameter.name)


_COMBINED: tuple[Callable[[Values], None], ...] = (
    stream_options_need_stream,
    _enough_to_choose_from,
    logit_bias_in_range,
    _unserved,
)
