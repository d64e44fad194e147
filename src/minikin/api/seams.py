"""What the server needs of an engine and a tokenizer, as types.

`minikin.engine` provides both; tests put a scripted engine and a byte tokenizer in their place.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from minikin.chat.call_formats import CallFormat
from minikin.engine.messages import Event, GenerationRequest, ModelInfo
from minikin.errors import SetupError


class Engine(Protocol):
    """Generates text for token ids; see `engine.process.EngineProcess`."""

    @property
    def is_ready(self) -> bool:
        """Whether a model answers now."""
        ...

    async def wait_ready(self) -> None:
        """Wait until it does. Raises SetupError if it never will."""
        ...

    async def given_up(self) -> SetupError:
        """Wait until it is certain that it won't; returns why."""
        ...

    async def stop(self) -> None:
        """End it; requests still running end with EngineFailure."""
        ...

    @property
    def info(self) -> ModelInfo:
        """The loaded model. Raises Overloaded before it has first been loaded."""
        ...

    def generate(self, request: GenerationRequest) -> AsyncGenerator[Event, None]:
        """The events of all choices. Closing it cancels the work.

        Raises Overloaded while there is no engine, EngineFailure if it dies meanwhile.
        """
        ...


class Template(Protocol):
    """Conversations to prompts; see `chat.template_process.TemplateProcess`."""

    call_format: CallFormat
    """How the model writes tool calls."""
    writes_thoughts: bool
    """Whether answers may begin with thoughts."""
    can_choose_to_think: bool
    """Whether the variable enable_thinking matters."""

    async def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[dict[str, Any]] = (),
        must_call: bool = False,
        variables: Mapping[str, Any] | None = None,
    ) -> list[tuple[str, bool]]:
        """The prompt as (text, is_control) pieces. Raises InvalidRequest, TemplateError."""
        ...

    async def stop(self) -> None:
        """Give up what it holds."""
        ...


class Tokenizer(Protocol):
    """Text to token ids and back; see `engine.tokenizer.Tokenizer`."""

    @property
    def vocab_size(self) -> int:
        """The number of token ids."""
        ...

    @property
    def control_tokens(self) -> Mapping[str, int]:
        """Spelling to id of the tokens that text never becomes."""
        ...

    @property
    def eos_ids(self) -> Collection[int]:
        """The tokens that end an answer."""
        ...

    def encode(self, text: str) -> list[int]:
        """The ids of plain text."""
        ...

    def encode_pieces(self, pieces: Iterable[tuple[str, bool]]) -> list[int]:
        """The ids of (text, is_control) pieces."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids."""
        ...

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes that a token stands for."""
        ...
