"""What the engine needs of a grammar: which tokens an answer may go on with.

The engine knows nothing of grammars. `minikin.engine_main` hands it the maker of these.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

import numpy as np

from minikin.tokenizer.tokenizer import Tokenizer


class Mask(Protocol):
    """Where one answer stands in its grammar; see `constrain.masks`."""

    @property
    def finished(self) -> bool:
        """Whether nothing can follow but the end."""
        ...

    def fresh(self) -> Mask:
        """A mask at the beginning of the same grammar, for another answer."""
        ...

    def prepare(self) -> None:
        """Begin to compute what is allowed next, in another thread."""
        ...

    def allowed(self, seconds: float) -> np.ndarray | None:
        """bool [vocab_size]: the tokens allowed next; None if it takes more than `seconds`.

        Raises an Exception, for this answer alone, if no token is or if it took too long in all.
        """
        ...

    def steer(self, token: int, room: int) -> int:
        """`token`, or the one to take in its place so that the answer can end within `room`."""
        ...

    def accept(self, token: int, *, forced: bool) -> list[int]:
        """Take the next token; with `forced`, also those that must follow, which are returned."""
        ...


class MaskMaker(Protocol):
    """Makes the masks of one model."""

    def begin(self, grammar: str) -> Future[Any]:
        """A future of the Mask at the beginning of `grammar`, once that is compiled."""
        ...


MakeMasks = Callable[[Tokenizer], MaskMaker]
