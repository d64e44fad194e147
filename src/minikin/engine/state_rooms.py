"""Records which rooms for the states of sequences are in use or kept. It holds no tensors."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

EMPTY = 0
"""The room with the state before a first token. Nothing writes to it."""

Key = tuple[int, bool]
"""A node of the prefix tree, and whether only kernels for prompts computed the state after it."""


class Stretch(NamedTuple):
    """Tokens `start:stop` of a sequence, which take its state from one room to another."""

    start: int
    stop: int
    source: int
    target: int


@dataclass(slots=True)
class Place:
    """Where the state of one sequence is."""

    room: int = EMPTY
    """The state after the tokens that are computed."""
    reserved: dict[int, int] = field(default_factory=dict)
    """Position -> the room for the state there, which the scheduled step writes."""
    borders: set[int] = field(default_factory=set)
    """Positions where another sequence probably begins."""
    trail: deque[Key] = field(default_factory=deque)
    """The snapshots that are not of borders, the oldest first."""


class StateRooms:
    """Numbered rooms with counts of users.

    A room that is kept outlives its users as a snapshot, until its memory is needed. The least
    recently used snapshot is dropped first.
    """

    def __init__(self, count: int) -> None:
        self._users = [0] * count
        # The last one released is used first, so that memory is only touched if it is needed.
        self._free = [*range(count - 1, EMPTY, -1)]
        self._kept: OrderedDict[Key, int] = OrderedDict()
        self._keys: dict[int, Key] = {}

    def __len__(self) -> int:
        return len(self._users)

    def take(self) -> int | None:
        """A room with one user, or None if all are in use."""
        if not self._free:
            unused = (key for key, room in self._kept.items() if not self._users[room])
            for key in islice(unused, 1):
                self.forget(key)
        if not self._free:
            return None
        room = self._free.pop()
        self._users[room] = 1
        return room

    def hold(self, room: int) -> int:
        """Add a user. Returns the room."""
        self._users[room] += 1
        return room

    def release(self, rooms: Iterable[int]) -> None:
        """Remove a user of each room."""
        for room in rooms:
            self._users[room] -= 1
            self._free_unused(room)

    def keep(self, room: int, key: Key) -> bool:
        """Make a room the snapshot of `key`. False if there is one."""
        if key in self._kept:
            return False
        self._kept[key] = room
        self._keys[room] = key
        return True

    def find(self, key: Key) -> int | None:
        """The snapshot of `key`, which then is the most recently used, or None."""
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def forget(self, key: Key) -> None:
        """Drop the snapshot of `key`, if there is one."""
        if (room := self._kept.pop(key, None)) is not None:
            del self._keys[room]
            self._free_unused(room)

    def users(self) -> dict[int, int]:
        """Room -> the number of its users, of those that have some."""
        return {room: users for room, users in enumerate(self._users) if users}

    def _free_unused(self, room: int) -> None:
        if room != EMPTY and not self._users[room] and room not in self._keys:
            self._free.append(room)
