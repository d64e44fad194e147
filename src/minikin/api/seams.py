"""What the server needs of an engine and a tokenizer, as types.

`minikin.engine` provides both; tests put a scripted engine and a byte tokenizer in their place.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence
from typing import Protocol

from minikin.engine.messages import Event, GenerationRequest, ModelInfo


class Engine(Protocol):
    """Generates text for token ids; see `engine.process.EngineProcess`."""

    @property
    def is_ready(self) -> bool:
        """Whether a model answers now."""
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
