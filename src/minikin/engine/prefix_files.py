"""Files of keys and values in a private folder, which several processes can share.

    NAME.prefix      a head (`_HEAD`), and numbers
    writing-*.part   one that a process writes

A name is a digest of everything that decides the numbers, so a file never changes. It appears
complete, because it is renamed at the end. Nothing waits for the disk: after a loss of power, a
file can be incomplete, and then its digest is wrong.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import stat
import struct
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import numpy as np

from minikin.errors import SetupError

log = logging.getLogger(__name__)

_HEAD = struct.Struct("<8s32s")
"""_MAGIC, and the digest of the name and the numbers."""
_MAGIC = b"minikin1"
_INFINITY = 0x7F80
"""The bits of infinity in bfloat16. With more, it is not a number."""
KEPT_SHARE = 0.9
"""The share of the limit that remains used when old files leave, so that they leave rarely."""
LOOK_AFTER = 64
"""Files to write until the next look at the folder, where other processes write too."""
LEAST_FREE = 1_000_000_000
"""Bytes of the disk that stay free for others."""
ABANDONED_SECONDS = 3600.0
"""The age of an unfinished file whose writer has ended."""


class PrefixFiles:
    """The files of one size in a folder. Those of other models there count for its limit."""

    def __init__(self, folder: Path, most: int, numbers: int) -> None:
        """`most` are the bytes that all files may take, `numbers` the length of each.

        Makes the folder. Raises SetupError if it cannot be used, or is not private.
        """
        self.folder = _private(folder.expanduser())
        self._most = most
        self._whole = _HEAD.size + 2 * numbers
        self._spare = 0
        """Bytes to write until the next look at the folder."""

    def read(self, name: str, room: np.ndarray) -> bool:
        """Read the numbers [N] uint16 of a name into `room`. Returns whether they are there.

        A file with any fault is removed. Then `room` can contain anything.
        """
        file = self._file(name)
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return False
        except OSError as error:
            fault = error.strerror
        else:
            try:
                fault = self._fault(descriptor, name, room)
            except OSError as error:
                fault = error.strerror
            finally:
                os.close(descriptor)
        if fault is None:
            return True
        log.warning("Computing a part of a prompt anew: cannot use %s (%s)", file, fault)
        with suppress(OSError):
            file.unlink()
        return False

    def touch(self, name: str, used: int) -> bool:
        """Record that a file was used at the time `used`, in nanoseconds. False: it is not there.

        Raises OSError.
        """
        try:
            os.utime(self._file(name), ns=(used, used))
        except FileNotFoundError:
            return False
        return True

    def write(self, name: str, numbers: np.ndarray, used: int) -> None:
        """Write the file of a name, as used at the time `used`. Raises OSError."""
        if self._spare < self._whole:
            self._make_room()
        if shutil.disk_usage(self.folder).free < LEAST_FREE + self._whole:
            raise OSError(errno.ENOSPC, "the disk has less than 1 GB left")
        descriptor, part = tempfile.mkstemp(".part", "writing-", self.folder)  # of mode 0600
        try:
            with open(descriptor, "wb") as file:
                file.write(_HEAD.pack(_MAGIC, _digest(name, numbers)))
                file.write(numbers.data)
            os.utime(part, ns=(used, used))
            os.replace(part, self._file(name))
        except BaseException:
            os.unlink(part)
            raise
        self._spare -= self._whole

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.prefix"

    def _fault(self, descriptor: int, name: str, room: np.ndarray) -> str | None:
        """Read an open file into `room`. Returns what is wrong with it. Raises OSError."""
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return "it is not a file"
        head = bytearray(_HEAD.size)
        # The length is compared first, so that a large file takes no time.
        if (
            status.st_size != self._whole
            or os.preadv(descriptor, [head, room.data], 0) != self._whole
        ):
            return "it has another length"
        if bytes(head) != _HEAD.pack(_MAGIC, _digest(name, room)):
            return "it was changed"
        # An unused slot of the cache is multiplied by zero, which must give zero.
        if int((room & 0x7FFF).max()) >= _INFINITY:
            return "it contains what is not a number"
        return None

    def _make_room(self) -> None:
        """Remove the least recently used files if the limit is near. Raises OSError."""
        files = sorted(self._found())
        used = sum(size for _, size, _ in files)
        if used + self._whole > self._most:
            least = self._most * KEPT_SHARE - self._whole
            for _, size, file in files:
                if used <= least:
                    break
                with suppress(FileNotFoundError):  # another process was faster
                    os.unlink(file)
                used -= size
        self._spare = min(self._most - used, LOOK_AFTER * self._whole)
        if self._spare < self._whole:
            raise OSError(errno.EFBIG, "the limit is smaller than one file")

    def _found(self) -> Iterator[tuple[int, int, str]]:
        """The time of the last use, the bytes and the path of each file. Raises OSError."""
        oldest = time.time_ns() - int(ABANDONED_SECONDS * 1e9)
        with os.scandir(self.folder) as entries:
            for entry in entries:
                is_part = entry.name.startswith("writing-") and entry.name.endswith(".part")
                if not is_part and not entry.name.endswith(".prefix"):
                    continue
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if is_part and status.st_mtime_ns < oldest:
                        os.unlink(entry.path)
                    elif stat.S_ISREG(status.st_mode):
                        yield status.st_mtime_ns, status.st_size, entry.path


def _private(folder: Path) -> Path:
    """Make the folder, for this user only. Raises SetupError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError as error:
        raise SetupError(f"Cannot use --prefix-store {folder}: {error.strerror}.") from error
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise SetupError(
            f"Other users can open the folder of --prefix-store {folder}, and its files contain "
            "what clients send. Name a new folder, which Minikin creates, or make this one "
            f"private: chmod 700 {folder}"
        )
    return folder


def _digest(name: str, numbers: np.ndarray) -> bytes:
    # SHA-256 has instructions of its own in most processors, and is faster than BLAKE2 there.
    digest = sha256(name.encode())
    digest.update(numbers.data)
    return digest.digest()
