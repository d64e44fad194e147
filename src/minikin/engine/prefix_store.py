"""Keys and values of long prompts that outlast the engine process."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from collections.abc import Sequence as Run
from contextlib import suppress
from hashlib import blake2b
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from minikin.engine.block_pool import Path
from minikin.engine.model.block import BLOCK
from minikin.engine.prefix_files import PrefixFiles

log = logging.getLogger(__name__)

UNIT = 128
"""Tokens in a file: the steps in which OpenAI counts cached tokens."""
BLOCKS = UNIT // BLOCK
"""Blocks in a file."""
LEAST_TOKENS = 1024
"""A shorter prompt is computed in a fraction of a second, and stays in memory only."""
MOST_WAITING = 32
"""Prompts that wait to be stored. Further ones are not stored."""
PAUSE = 3.0
"""The rest after each file while the engine computes, as a multiple of the time for the file."""
THREAD = "prefix-store"
"""The name of the thread that writes."""


class Prompt(NamedTuple):
    """A computed prompt, to be stored."""

    names: list[str]
    """Of its units."""
    path: Path
    """Its blocks in the prefix tree."""


class PrefixStore:
    """Names and moves units of UNIT tokens between the cache and a folder.

    A unit's name is a digest of `key`, of the scope of its prompt, and of all tokens up to its end.
    The engine's thread reads units. Another thread writes them: it copies blocks that the prefix
    tree holds, and a copy counts only if the tree still holds them after it.
    """

    def __init__(self, files: PrefixFiles, key: bytes, arrays: Run[np.ndarray]) -> None:
        """`key` names all that decides keys and values, except tokens. `arrays` are the cache's:
        [blocks, ...] uint16."""
        self._files = files
        self._key = key
        self._arrays = arrays
        self._read = Unit(arrays)
        self._written = Unit(arrays)
        self._prompts: queue.Queue[Prompt] = queue.Queue(MOST_WAITING)
        self._thread: threading.Thread | None = None
        self._failed = False
        """Whether the last write failed."""
        self._holds: Callable[[int, int], bool] = lambda block, node: False
        self._is_busy: Callable[[], bool] = lambda: True

    def watch(self, holds: Callable[[int, int], bool], is_busy: Callable[[], bool]) -> None:
        """Set how to ask if the prefix tree has a block at a node, and if the engine has work."""
        self._holds, self._is_busy = holds, is_busy

    def names(self, tokens: Run[int], scope: str) -> list[str]:
        """The names of the units of a prompt, without its last token. Empty if it is short."""
        if len(tokens) < LEAST_TOKENS:
            return []
        ids = np.array(tokens, "<u4")
        units = ids[: (len(tokens) - 1) // UNIT * UNIT].reshape(-1, UNIT)
        first = blake2b(scope.encode(), key=self._key, digest_size=32).digest()
        chain = accumulate((unit.tobytes() for unit in units), _link, initial=first)
        return [link.hex() for link in chain][1:]

    def restore(self, name: str, blocks: Run[int]) -> bool:
        """Fill `blocks` of the cache, the last ones of a unit. Returns whether it is stored."""
        if not self._files.read(name, self._read.numbers):
            return False
        for array, part in zip(self._arrays, self._read.parts, strict=True):
            array[blocks] = part[-len(blocks) :]
        return True

    def keep(self, names: list[str], path: Path) -> None:
        """Store the units of a prompt later, or record that they are used.

        `path` has its blocks that only prompts computed.
        """
        names = names[: len(path) // BLOCKS]
        if not names:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=THREAD, daemon=True)
            self._thread.start()
        with suppress(queue.Full):
            self._prompts.put_nowait(Prompt(names, path))

    def finish(self, seconds: float) -> bool:
        """Wait until all prompts so far are stored, without rests. False: it takes longer."""
        self._is_busy = lambda: False
        with (done := self._prompts.all_tasks_done):
            return done.wait_for(lambda: not self._prompts.unfinished_tasks, seconds)

    def _work(self) -> None:
        while True:
            prompt = self._prompts.get()
            try:
                self._store(prompt)
                self._failed = False
            except Exception as error:
                if not self._failed:
                    log.warning("Cannot store prompts in %s: %s", self._files.folder, error)
                self._failed = True
            finally:
                self._prompts.task_done()

    def _store(self, prompt: Prompt) -> None:
        """Store the units that are not stored yet, up to one whose blocks were needed."""
        now = time.time_ns()
        for at, name in enumerate(prompt.names):
            used = now - at  # the end of a prompt is of no use without its start: it leaves first
            if self._files.touch(name, used):
                continue
            begun = time.monotonic()
            path = prompt.path[at * BLOCKS : (at + 1) * BLOCKS]
            self._written.copy(self._arrays, [block for block, _ in path])
            if not all(self._holds(block, node) for block, node in path):
                return
            self._files.write(name, self._written.numbers, used)
            if self._is_busy():
                time.sleep(PAUSE * (time.monotonic() - begun))


class Unit:
    """Room for the keys and values of a unit, as its file has them."""

    def __init__(self, arrays: Run[np.ndarray]) -> None:
        sizes = [BLOCKS * array[0].size for array in arrays]
        self.numbers = np.zeros(sum(sizes), np.uint16)
        """[N]."""
        parts = np.split(self.numbers, list(accumulate(sizes))[:-1])
        self.parts = [
            part.reshape(BLOCKS, *array.shape[1:])
            for part, array in zip(parts, arrays, strict=True)
        ]
        """The blocks of each array."""

    def copy(self, arrays: Run[np.ndarray], blocks: Run[int]) -> None:
        """Take these blocks from the cache."""
        for array, part in zip(arrays, self.parts, strict=True):
            np.take(array, blocks, axis=0, out=part, mode="clip")  # "raise" would copy twice


def _link(before: bytes, unit: bytes) -> bytes:
    return blake2b(before + unit, digest_size=32).digest()
