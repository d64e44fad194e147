"""Records which blocks of the KV cache are free, in use or cached. It holds no tensors."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from collections.abc import Sequence as Run
from typing import Any, Protocol

from minikin.engine.model.block import BLOCK

NAMED = 5
"""Maximum blocks in an error message."""

_Key = tuple[int, tuple[int, ...]]

Path = list[tuple[int, int]]
"""Cached blocks of a prefix, each with its node."""


class Usable(Protocol):
    """Which of the cached blocks of a prefix, from the first on, can be used."""

    def __call__(self, path: Path, /, *, only_pure: bool) -> Path:
        """A part of `path`, perhaps all."""
        ...


class CacheFault(RuntimeError):
    """The records of the cache are inconsistent. An answer could read the keys of another."""


class BlockPool:
    """Reference-counted blocks, and the prefix tree of the full blocks.

    A full block is identified by the node of its parent and its own tokens, compared in full, so
    two prefixes are never confused. A block without users stays cached until its memory is needed.
    The least recently used block is evicted first.
    """

    def __init__(self, blocks: int) -> None:
        self.size = blocks
        self._idle: OrderedDict[int, None] = OrderedDict.fromkeys(range(blocks))
        self._users = [0] * blocks
        self._keys: list[_Key | None] = [None] * blocks
        self._tree: dict[_Key, tuple[int, int]] = {}
        """(parent node, tokens) -> (block, node). Node numbers are never reused."""
        self._pure: set[int] = set()
        """Cached blocks that only prompts computed, including all blocks before them."""
        self._roots = {"": 0}
        """Scope -> the start node of its prefixes. There is one per API key."""
        self._next_node = 1

    @property
    def available(self) -> int:
        """The number of blocks that can be allocated now, including cached ones."""
        return len(self._idle)

    def allocate(self, count: int) -> list[int] | None:
        """`count` blocks with one user each, or None if there are too few."""
        if count > len(self._idle):
            return None
        blocks = [self._idle.popitem(last=False)[0] for _ in range(count)]
        for block in blocks:
            self._forget(block)
            self._users[block] = 1
        return blocks

    def release(self, blocks: Run[int]) -> None:
        """Release one use of each block. The last blocks of a sequence are reused first."""
        for block in reversed(blocks):
            self._users[block] -= 1
            if self._users[block] == 0:
                self._idle[block] = None
                if self._keys[block] is None:
                    self._idle.move_to_end(block, last=False)

    def match(
        self,
        tokens: Run[int],
        scope: str = "",
        *,
        only_pure: bool = False,
        usable: Usable | None = None,
    ) -> tuple[list[int], int, bool]:
        """The usable blocks of `path`, with one more use, and the last one's node.

        Also whether all of them are pure.
        """
        path = self.path(tokens, scope, only_pure=only_pure)
        if usable is not None:
            path = usable(path, only_pure=only_pure)
        blocks = [block for block, _ in path]
        for block in blocks:
            if self._users[block] == 0:
                del self._idle[block]
            self._users[block] += 1
        node = path[-1][1] if path else self._root(scope)
        return blocks, node, self._pure.issuperset(blocks)

    def path(self, tokens: Run[int], scope: str = "", *, only_pure: bool = False) -> Path:
        """The cached blocks at the start of `tokens`, or those that are pure.

        A pure block is computed by prompts, on pure blocks. At least one token is left, because a
        forward pass needs one. Other scopes have their own blocks.
        """
        path: Path = []
        node = self._root(scope)
        for start in range(0, len(tokens) - BLOCK, BLOCK):
            found = self._tree.get((node, tuple(tokens[start : start + BLOCK])))
            if found is None or (only_pure and found[0] not in self._pure):
                break
            path.append(found)
            node = found[1]
        return path

    def remember(self, parent: int, tokens: Run[int], block: int, *, pure: bool = True) -> int:
        """Add a full block to the tree under `parent`. Returns its node.

        If an equal block exists, the tree keeps it, and the new one stays private. But a pure block
        replaces one that is not pure.
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

    def holds(self, block: int, node: int) -> bool:
        """Whether the tree has `block` at `node`. Another thread can ask.

        It is the same tokens' block all the time from one such answer to the next, because nodes
        are never reused.
        """
        key = self._keys[block]
        return key is not None and self._tree.get(key) == (block, node)

    def check_integrity(self, held: Iterable[int]) -> None:
        """Raise CacheFault if the records disagree with each other or with the blocks `held`.

        A block of several sequences is in `held` once for each of them.
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
        """Remove the block from the tree."""
        self._keys[block] = None
        self._pure.discard(block)
        if block in self._idle:
            self._idle.move_to_end(block, last=False)


def _agree(names: str, one: Mapping[int, Any], other: Mapping[int, Any]) -> None:
    """Raise CacheFault with the first different blocks if the records are not the same."""
    if one == other:
        return
    nothing = object()
    blocks = sorted({*one, *other})
    wrong = [b for b in blocks if one.get(b, nothing) != other.get(b, nothing)]
    shown = ", ".join(map(str, wrong[:NAMED]))
    more = f" and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
    raise CacheFault(f"the {names} differ at block {shown}{more}")
