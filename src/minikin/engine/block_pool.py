"""Which blocks of the KV cache are free, used or remembered: memory, without the memory itself."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from collections.abc import Sequence as Run
from typing import Any

from minikin.engine.model.block import BLOCK

NAMED = 5
"""The most blocks that a fault names."""

_Key = tuple[int, tuple[int, ...]]


class CacheFault(RuntimeError):
    """The records of the cache contradict each other: an answer could read another's keys."""


class BlockPool:
    """Reference-counted blocks, and the prefix tree over those that are full.

    A full block is known by its parent's node and its own tokens, compared whole, so no two
    prefixes are ever mistaken for each other. A block that nobody uses stays known until its
    place is needed; the least recently used goes first.
    """

    def __init__(self, blocks: int) -> None:
        self.size = blocks
        self._idle: OrderedDict[int, None] = OrderedDict.fromkeys(range(blocks))
        self._users = [0] * blocks
        self._keys: list[_Key | None] = [None] * blocks
        self._tree: dict[_Key, tuple[int, int]] = {}
        """(parent node, tokens) -> (block, node). Node numbers are never reused."""
        self._pure: set[int] = set()
        """Known blocks that prompts alone have computed, those before them included."""
        self._roots = {"": 0}
        """Scope -> the node that its prefixes start from; there are as many as API keys."""
        self._next_node = 1

    @property
    def available(self) -> int:
        """Blocks that can be allocated now, remembered ones included."""
        return len(self._idle)

    def allocate(self, count: int) -> list[int] | None:
        """`count` blocks with one user each, or None if there are not as many."""
        if count > len(self._idle):
            return None
        blocks = [self._idle.popitem(last=False)[0] for _ in range(count)]
        for block in blocks:
            self._forget(block)
            self._users[block] = 1
        return blocks

    def release(self, blocks: Run[int]) -> None:
        """Give up one use of each block; the last ones of a run are the first to be reused."""
        for block in reversed(blocks):
            self._users[block] -= 1
            if self._users[block] == 0:
                self._idle[block] = None
                if self._keys[block] is None:
                    self._idle.move_to_end(block, last=False)

    def match(
        self, tokens: Run[int], scope: str = "", *, only_pure: bool = False
    ) -> tuple[list[int], int, bool]:
        """The known blocks that `tokens` begin with, now used once more, and the last one's node.

        And whether all of them are pure, that is computed by prompts on pure blocks. At least one
        token is left over, since a forward pass needs one. Of other scopes nothing is known.
        """
        blocks: list[int] = []
        node = self._root(scope)
        for start in range(0, len(tokens) - BLOCK, BLOCK):
            found = self._tree.get((node, tuple(tokens[start : start + BLOCK])))
            if found is None or (only_pure and found[0] not in self._pure):
                break
            block, node = found
            blocks.append(block)
        for block in blocks:
            if self._users[block] == 0:
                del self._idle[block]
            self._users[block] += 1
        return blocks, node, self._pure.issuperset(blocks)

    def remember(self, parent: int, tokens: Run[int], block: int, *, pure: bool = True) -> int:
        """Make a full block known under `parent`; returns its node.

        If an equal block is known already the tree keeps that one, and this one stays private; a
        pure block takes the place of one that is not.
        """
        key = (parent, tuple(tokens))
        if key in self._tree:
            known, node = self._tree[key]
            if not pure or known in self._pure:
                return node
            self._unname(known)
        else:
            node = self._next_node
            self._next_node += 1
        self._tree[key] = (block, node)
        self._keys[block] = key
        if pure:
            self._pure.add(block)
        return node

    def check_integrity(self, held: Iterable[int]) -> None:
        """Raise CacheFault if the records disagree, with each other or with the blocks `held`.

        A block that several sequences hold stands in `held` as often.
        """
        uses = Counter(held)
        _agree(
            "counts of users and blocks that sequences hold",
            dict(enumerate(self._users)),
            {block: uses[block] for block in range(self.size)},
        )
        idle = dict.fromkeys(block for block, users in enumerate(self._users) if users == 0)
        _agree("idle blocks and blocks without users", dict(self._idle), idle)
        known = {block: key for block, key in enumerate(self._keys) if key is not None}
        tree = {block: key for key, (block, _) in self._tree.items()}
        _agree("keys of blocks and the prefix tree", known, tree)

    def _root(self, scope: str) -> int:
        if scope not in self._roots:
            self._roots[scope] = self._next_node
            self._next_node += 1
        return self._roots[scope]

    def _forget(self, block: int) -> None:
        key = self._keys[block]
        if key is not None:
            del self._tree[key]
            self._unname(block)

    def _unname(self, block: int) -> None:
        """Take away what the block is known by."""
        self._keys[block] = None
        self._pure.discard(block)
        if block in self._idle:
            self._idle.move_to_end(block, last=False)


def _agree(names: str, one: Mapping[int, Any], other: Mapping[int, Any]) -> None:
    """Raise CacheFault, with the first blocks that differ, unless both records are the same."""
    if one == other:
        return
    nothing = object()
    blocks = sorted({*one, *other})
    wrong = [b for b in blocks if one.get(b, nothing) != other.get(b, nothing)]
    shown = ", ".join(map(str, wrong[:NAMED]))
    more = f" and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
    raise CacheFault(f"the {names} differ at block {shown}{more}")
