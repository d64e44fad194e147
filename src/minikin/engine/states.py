"""Decides which states of sequences are kept, for layers that have no keys and values.

If the model has no such layers, there are no rooms, and nothing here has an effect.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Run
from itertools import pairwise

from minikin.engine.block_pool import BlockPool, CacheFault, Path
from minikin.engine.model.block import BLOCK
from minikin.engine.sequence import Sequence
from minikin.engine.span import Span
from minikin.engine.state_rooms import EMPTY, Key, StateRooms, Stretch

ROOMS_EACH = 2
"""The rooms that each running sequence needs: one to read and one to write."""
TRAIL = 2
"""Snapshots of the last blocks of a sequence. The next turn can begin before the end of an answer,
because its template writes the end in another way."""


class States:
    """Gives the spans of a step their rooms, and keeps snapshots for the prefix cache.

    A step reads one room of a sequence and writes another, so that a failed step can repeat. The
    other rooms are snapshots: of borders, where a sequence probably begins, and of the last blocks
    of a sequence.
    """

    def __init__(self, rooms: int) -> None:
        """`rooms` includes the room of the empty state. 0: the model has no state."""
        self.rooms = StateRooms(rooms)

    def usable(self, path: Path, *, only_pure: bool) -> Path:
        """The cached blocks of `path` up to the last one with a snapshot."""
        count = len(path)
        while self.rooms and count and self._after(path[count - 1][1], only_pure) is None:
            count -= 1
        return path[:count]

    def begin(self, sequence: Sequence, pool: BlockPool) -> None:
        """Give a sequence the state after its cached tokens.

        It will leave snapshots before its last token, and where only the snapshot is missing.
        """
        if not self.rooms:
            return
        own, only_pure = sequence.state, sequence.repeatable
        path = pool.path(sequence.reusable, sequence.request.scope, only_pure=only_pure)
        last = (len(sequence.tokens) - 1) // BLOCK
        own.borders = {len(path) * BLOCK, last * BLOCK}
        key = self._after(sequence.prefix_node, only_pure) if sequence.computed else None
        room = self.rooms.find(key) if key else EMPTY
        assert room is not None
        own.room = self.rooms.hold(room)
        sequence.pure = sequence.pure and (key is None or key[1])

    def expect(self, sequence: Sequence, border: int) -> None:
        """Leave a snapshot at `border`: another sequence waits for it."""
        if self.rooms:
            sequence.state.borders.add(border)

    def reserve(self, spans: Run[Span]) -> None:
        """Give the spans their stretches. Each needs a room, and snapshots take what is left."""
        if not self.rooms:
            return
        for span in spans:
            self._clear(span.sequence)
            room = self.rooms.take()
            assert room is not None, "two rooms for each running sequence"
            span.sequence.state.reserved[span.end] = room
        for span in spans:
            places = span.sequence.state.borders | {span.end // BLOCK * BLOCK}
            for border in (at for at in places if span.start < at < span.end):
                if (room := self.rooms.take()) is not None:
                    span.sequence.state.reserved[border] = room
            span.stretches = tuple(_stretches(span))

    def keep(self, sequence: Sequence) -> None:
        """Keep the state after the last block in the prefix cache, if the step wrote it."""
        own, position = sequence.state, sequence.registered * BLOCK
        if (room := own.reserved.get(position)) is None:
            return
        key = sequence.prefix_node, sequence.pure
        if not self.rooms.keep(room, key) or position in own.borders:
            return
        own.trail.append(key)
        if len(own.trail) > TRAIL:
            self.rooms.forget(own.trail.popleft())

    def advance(self, sequence: Sequence) -> None:
        """Record that the reserved rooms are written."""
        own = sequence.state
        if sequence.computed in own.reserved:
            written = own.reserved.pop(sequence.computed)
            self.rooms.release([own.room])
            own.room = written
        self._clear(sequence)

    def end(self, sequence: Sequence) -> None:
        """Release the rooms of a sequence. Snapshots stay."""
        if self.rooms:
            self._clear(sequence)
            self.rooms.release([sequence.state.room])
            sequence.state.room = EMPTY

    def check_integrity(self, running: Iterable[Sequence]) -> None:
        """Raise CacheFault if the counts of users are not those of the sequences."""
        held = Counter(room for s in running for room in (s.state.room, *s.state.reserved.values()))
        counted = Counter(self.rooms.users())
        held[EMPTY] = counted[EMPTY] = 0
        if held != counted:
            raise CacheFault("the counts of users of rooms and the sequences' rooms differ")

    def _after(self, node: int, only_pure: bool) -> Key | None:
        """The key of the snapshot after a node, preferably a pure one."""
        keys = [(node, True)] if only_pure else [(node, True), (node, False)]
        return next((key for key in keys if self.rooms.find(key) is not None), None)

    def _clear(self, sequence: Sequence) -> None:
        self.rooms.release(sequence.state.reserved.values())
        sequence.state.reserved.clear()


def _stretches(span: Span) -> Iterator[Stretch]:
    rooms = {span.start: span.sequence.state.room, **span.sequence.state.reserved}
    for start, stop in pairwise(sorted(rooms)):
        yield Stretch(start, stop, rooms[start], rooms[stop])
