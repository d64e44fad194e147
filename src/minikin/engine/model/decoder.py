"""What the engine needs of a decoder: logits of a batch, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence as Run
from typing import Any, NamedTuple, Protocol

import numpy as np

from minikin.engine.model.batch import Batch
from minikin.engine.native.draw import Draw, Ranks

Logits = Any
"""[R, vocabulary] float32: an array or a tensor, whatever the decoder computes with."""

Hidden = Any
"""[T, hidden] float32: the same kind."""


class Cache(Protocol):
    """The keys and values of all sequences, and their states."""

    blocks: int
    """The number of blocks of BLOCK tokens."""
    rooms: int
    """The number of rooms for states, with that of the empty state. 0: the model has none."""


class Seen(NamedTuple):
    """The tokens that a row must repeat less."""

    row: int
    tokens: np.ndarray
    """[N] int64, each once."""
    penalty: float


class Chooser(Protocol):
    """What follows the logits of R rows."""

    def choose(self, logits: Logits, draws: Run[Draw], /) -> np.ndarray:
        """A token [R] int64 for each row, -1 where a logit is not a number.

        The changes of the draws stay in the logits. At temperature 0 it is the most likely token.
        Otherwise it is the inverse of the cumulative distribution of the tokens within the limits,
        at the draw's point.
        """
        ...

    def rank(self, logits: Logits, tokens: Run[int], most: int, /) -> Ranks:
        """What log probabilities of `tokens`, one per row, and of the `most` best ones need."""
        ...

    def at(self, logits: Logits, tokens: np.ndarray, /) -> np.ndarray:
        """[R, N] float32: the logits of the `tokens` [R, N] int64."""
        ...

    def restrict(self, logits: Logits, allowed: Run[np.ndarray | None], /) -> None:
        """Make all tokens impossible that are not `allowed`, in place.

        `allowed` is bool [tokens] for each row, or None: all. A row can be longer.
        """
        ...

    def penalise(self, logits: Logits, seen: Run[Seen], /) -> None:
        """Divide the positive logits of seen tokens by the penalty, multiply others, in place."""
        ...

    def join(self, parts: Run[Logits], /) -> Logits:
        """One matrix from rows of several."""
        ...


class Launched(Protocol):
    """A step that a device computes while the engine does other work."""

    def read(self) -> np.ndarray:
        """A token [R] int64 for each row, as of `Chooser.choose`. Waits for the step."""
        ...


class Fed(NamedTuple):
    """The rows of a step whose tokens are those that the step before chooses."""

    step: Any
    """The `Launched` step before, of the same launcher."""
    rows: Run[int]
    """For each row, the row there."""


class Launcher(Protocol):
    """Starts steps of answers on a device, which also chooses their tokens."""

    def launch(
        self, batch: Batch, draws: Run[Draw], cache: Any, fed: Fed | None = None, /
    ) -> Launched:
        """Start a step of one row for each sequence. With `fed`, no token of `batch` counts."""
        ...


class Decoder(Protocol):
    """One forward pass over a batch of spans."""

    @property
    def native(self) -> bool:
        """Whether a row's result depends on its own sequence alone, in any company."""
        ...

    @property
    def chooser(self) -> Chooser:
        """What follows this decoder's logits."""
        ...

    @property
    def launcher(self) -> Launcher | None:
        """What starts steps ahead. None: each step is waited for, because the CPU computes it."""
        ...

    def hidden(self, batch: Batch, cache: Any, /) -> Hidden:
        """The output of the last layer for all tokens of the batch.

        Writes their keys and values into `cache`.
        """
        ...

    def logits(self, hidden: Hidden, few: int, /) -> Logits:
        """The logits of rows of `hidden`. Kernels for few rows compute the first `few` of them.

        The next call can overwrite them.
        """
        ...
