"""Packed weights in the user's cache folder: later starts map them, and engines share the memory.

    packed/MODEL-KEY.packed   the matrices of one model for one instruction set (`packed_file.py`)
    packed/MODEL-KEY.part     one that a process writes
    packed/write.lock         locked by that process

A key names everything that decides the cells, so a file is never changed. A model has one file: the
one of another key, such as that of an older version of Minikin, leaves when a new one comes.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Sequence as Run
from contextlib import suppress
from hashlib import blake2b

from filelock import FileLock

from minikin.engine.native.kernels import Kernels, PackedMatrix
from minikin.engine.native.packed_file import DamagedError, read_packed, write_packed
from minikin.engine.own_code import READING, own_code
from minikin.model_file.model_file import ModelFile
from minikin.model_file.packed_files import packed_file, packed_files

log = logging.getLogger(__name__)

LEAST_BYTES = 16_000_000
"""A smaller model is unpacked in less than 0.1 s."""
THREAD = "packed-cache"
"""The name of the thread that writes."""


class PackedCache:
    """The file of one model, and the others in its folder."""

    def __init__(self, model: ModelFile, digest: str, kernels: Kernels, most: int) -> None:
        """`digest` is the model's, and `most` are the bytes that all files may take."""
        parts = (digest, str(model.changed), kernels.instructions, own_code(*READING))
        self._key = blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()
        self._kernels = kernels
        self._most = most
        self._digest = digest
        self.file = packed_file(digest, self._key)

    def read(self) -> list[PackedMatrix]:
        """The matrices of an earlier load, or none. A damaged file is removed."""
        if not self._most:
            return []
        try:
            matrices = read_packed(self.file, self._key, self._kernels)
        except FileNotFoundError:
            return []
        except (OSError, DamagedError) as error:
            log.warning("Unpacking the model anew: cannot use %s (%s)", self.file, error)
            with suppress(OSError):
                self.file.unlink()
            return []
        with suppress(OSError):  # of a read-only folder
            changed = self.file.stat().st_mtime_ns
            os.utime(self.file, ns=(time.time_ns(), changed))  # the order in which files leave
        log.info("Mapped the packed weights in %s", self.file)
        return matrices

    def write_later(self, matrices: Run[PackedMatrix]) -> threading.Thread | None:
        """Write the matrices in a thread, if they are worth it. A failure is one log line."""
        size = sum(one.bytes for one in matrices)
        if not LEAST_BYTES <= size <= self._most:
            return None
        thread = threading.Thread(
            target=self._write, args=(matrices, size), name=THREAD, daemon=True
        )
        thread.start()
        return thread

    def _write(self, matrices: Run[PackedMatrix], size: int) -> None:
        folder = self.file.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / "write.lock"):
                if self.file.exists():  # another process was faster
                    return
                self._make_room(size)
                if size > shutil.disk_usage(folder).free // 2:
                    raise OSError("the disk has less than twice their size left")
                part = self.file.with_suffix(".part")
                write_packed(part, self._key, matrices)
                os.replace(part, self.file)
        except (OSError, NotImplementedError) as error:  # the second: no locks there
            log.warning("Cannot keep the packed weights in %s: %s", folder, error)
            return
        log.info("Kept the packed weights in %s (%d MB)", self.file, size // 10**6)

    def _make_room(self, size: int) -> None:
        """Remove what killed processes left, outdated files, and the least recently used ones."""
        for useless in (*self.file.parent.glob("*.part"), *packed_files(self._digest)):
            useless.unlink()
        left = self._most - size
        files = ((file.stat(), file) for file in self.file.parent.glob("*.packed"))
        for status, file in sorted(files, key=lambda pair: pair[0].st_atime_ns, reverse=True):
            left -= status.st_size
            if left < 0:
                file.unlink()
