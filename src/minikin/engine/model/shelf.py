"""The packed matrices of a model, so that a later start finds them ready."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Run

from minikin.engine.native.kernels import PackedMatrix


class Shelf:
    """Packed matrices in the order in which the loader needs them.

    The order is the same at each load, because file and code decide it.
    """

    def __init__(self, ready: Run[PackedMatrix] = ()) -> None:
        """`ready` are those of an earlier load."""
        self._ready = iter(ready)
        self.matrices: list[PackedMatrix] = []
        """All that were needed so far."""
        self.is_whole = True
        """Whether all of them were ready."""

    def next(
        self, rows: int, width: int, gated: bool, make: Callable[[], PackedMatrix]
    ) -> PackedMatrix:
        """The next matrix [rows, width]: a ready one if it has this shape, otherwise a new one."""
        ready = next(self._ready, None)
        fits = ready is not None and (ready.shape, ready.gated) == ((rows, width), gated)
        if ready is None or not fits:
            self.is_whole, ready = False, make()
        self.matrices.append(ready)
        return ready
