"""What a model is asked, whichever API the request came by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import msgspec

from minikin.engine.messages import Opening, SamplingParams, Unsearched
from minikin.errors import InvalidRequest

ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]
ToolChoice = Literal["none", "auto", "required"]


class AnswerRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request for answers. It satisfies every rule that needs no tokenizer.

    Messages, tools and formats have the forms of chat completions, which chat templates expect.
    Each API has a subclass, which names the places of its body in errors.
    """

    prompt_param: ClassVar[str] = "messages"
    """The parameter with the conversation."""
    effort_param: ClassVar[str] = "reasoning_effort"

    model: str
    """The requested name, one of the server's names."""
    messages: list[dict[str, Any]]
    max_tokens: int | None = None
    """The output limit of the request."""
    n: int = 1
    response_format: dict[str, Any] = {}
    tools: list[dict[str, Any]] = []
    tool_choice: ToolChoice | dict[str, Any] = "auto"
    parallel_tool_calls: bool | None = None
    """Whether one answer can have several calls. None: the model's default."""
    reasoning_effort: ReasoningEffort | None = None
    """The effort for reasoning. None: the model's default."""
    sampling: dict[str, Any] = {}
    """Arguments of SamplingParams, without those of `sampling_params`."""
    continues: bool = False
    """Whether the answer continues the last message, a text of the assistant."""
    prediction: str = ""
    """The answer that the client predicts."""
    cache_key: str = ""
    """The client's name for requests that begin alike."""

    def sampling_params(
        self,
        max_tokens: int,
        prediction: list[int],
        grammar: str | None,
        unsearched: tuple[Unsearched, ...],
        opening: Opening,
        defaults: Mapping[str, Any],
    ) -> SamplingParams:
        """How to sample this request's answers, with at most `max_tokens` tokens each.

        `prediction` contains the token ids of the predicted text. The answers match `grammar`.
        Stop sequences have no effect in `unsearched` parts. `opening` becomes more likely at their
        start. `defaults` are the model's defaults for values that the request does not set.
        """
        return SamplingParams(
            max_tokens=max_tokens,
            prediction=tuple(prediction),
            grammar=grammar,
            unsearched=unsearched,
            opening=opening,
            prompt_logprobs=self.prompt_logprobs,
            **{**defaults, **self.sampling},
        )

    @property
    def prompt_logprobs(self) -> int | None:
        """SamplingParams.prompt_logprobs."""
        return None

    @property
    def raw_prompt(self) -> str | list[int] | None:
        """The prompt as it is, a text or token ids. None: the model gets `messages`."""
        return None

    @property
    def beginning(self) -> str:
        """The text of the last message if the answer continues it."""
        content = self.messages[-1]["content"] if self.continues else ""
        return (
            content
            if isinstance(content, str)
            else "".join(part.get("text", "") for part in content)
        )

    def place_of_function(self, at: int) -> str:
        """The path of function number `at` in the body."""
        raise NotImplementedError

    def place_of_schema(self, *, strict: bool) -> tuple[str, str | None]:
        """The param and the code of errors in the schema of the answer."""
        raise NotImplementedError

    def too_long(self, window: int, tokens: str) -> InvalidRequest:
        """The error for a prompt of so many `tokens`, which `window` tokens do not hold."""
        raise NotImplementedError

    def check_limit(self, window: int, prompt: int) -> None:
        """Raise InvalidRequest if `max_tokens` is an error after a prompt of so many tokens."""

    @property
    def droppable(self) -> int:
        """How many of the oldest messages can be dropped if the prompt is too long."""
        return 0

    def without_oldest(self, count: int) -> AnswerRequest:
        """This request without that many of its oldest messages. Instructions stay."""
        return self
