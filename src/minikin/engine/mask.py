"""The engine's interface to grammars: the tokens that an answer can continue with.

The engine does not depend on grammars. `minikin.engine_main` gives it the maker of masks.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

import numpy as np

from minikin.tokenizer.tokenizer import Tokenizer


class Mask(Protocol):
    """The state of one answer in its grammar. See `constrain.masks`."""

    @property
    def finished(self) -> bool:
        """Whether nothing can follow but the end."""
        ...

    def fresh(self) -> Mask:
        """A mask at the start of the same grammar, for another answer."""
        ...

    def prepare(self) -> None:
        """Start to compute the allowed tokens in another thread."""
        ...

    def allowed(self, seconds: float) -> np.ndarray | None:
        """bool [vocab_size]: the tokens allowed next. None if not ready within `seconds`.

        Raises an Exception for this answer if no token is allowed, or if the total time is too
        long.
        """
        ...

    def steer(self, token: int, room: int) -> int:
        """`token`, or the token that replaces it, so that the answer can end within `room`."""
        ...

    def accept(self, token: int, *, forced: bool) -> list[int]:
        """Accept the next token. With `forced`, also accept and return those that must follow."""
        ...


class MaskMaker(Protocol):
    """Makes the masks of one model."""

    def begin(self, grammar: str) -> Future[Any]:
        """A future of the mask at the start of `grammar`, when it is compiled."""
        ...


MakeMasks = Callable[[Tokenizer], MaskMaker]
