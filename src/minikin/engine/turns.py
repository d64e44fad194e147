"""Whose turn it is among waiting sequences: fair between owners, and to small prompts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from collections.abc import Sequence as Run

from minikin.engine.block_pool import BlockPool
from minikin.engine.sequence import Sequence

OVERTAKING_SHARE = 4
"""A quarter of the cache is for sequences that overtake one that does not fit."""


class Turns:
    """Turns between the owners (`scope`) of sequences."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        """Owner -> the number of its last start, since other owners were there too."""
        self._starts = 0

    def started(self, sequence: Sequence) -> None:
        """Record that a sequence starts."""
        self._starts += 1
        self._last[sequence.request.scope] = self._starts

    def order(self, waiting: Run[Sequence], running: Iterable[Sequence]) -> list[Sequence]:
        """The waiting sequences in the order in which they start.

        The next is always of the owner with the fewest sequences that run or start before it, so an
        owner with many does not keep out the others. Among equal owners, it is the one whose last
        start is longest ago. The sequences of an owner are in order of arrival.
        """
        owners = {sequence.request.scope for sequence in waiting}
        self._last = {owner: self._last.get(owner, 0) for owner in owners}
        if len(owners) < 2:
            return list(waiting)
        counts = Counter(sequence.request.scope for sequence in running)
        places: list[tuple[bool, int, int]] = []
        for sequence in waiting:
            owner = sequence.request.scope
            places.append((sequence.gives_way, counts[owner], self._last[owner]))
            counts[owner] += 1
        order = sorted(range(len(waiting)), key=places.__getitem__)
        return [waiting[at] for at in order]


def overtaking_room(pool: BlockPool, need: int, running: Iterable[Sequence]) -> int:
    """Blocks that others can still use while a sequence waits for `need` blocks.

    Those that overtook it never hold so many that it could not start when all before it have ended.
    """
    room = min(pool.size // OVERTAKING_SHARE, pool.size - need)
    return room - sum(len(sequence.blocks) for sequence in running if sequence.overtook)
