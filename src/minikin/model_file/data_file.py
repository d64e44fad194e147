"""One file of a model, open for reading."""

from __future__ import annotations

import os
import stat
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from minikin.errors import ModelFileError
from minikin.logs import one_line

_SAMPLES, _SAMPLE_BYTES = 64, 64 * 1024


class MalformedError(Exception):
    """The file is not valid. The text is the reason."""


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an error in the file at `path` into a ModelFileError."""
    shown = one_line(str(path))
    try:
        yield
    except OSError as error:
        raise ModelFileError(f"Cannot open the model file {shown}: {error.strerror}.") from error
    except (MalformedError, UnicodeDecodeError) as error:
        reason = error if isinstance(error, MalformedError) else "a string in it is not UTF-8"
        raise ModelFileError(
            f"Cannot use the model file {shown}: {reason}. "
            "Download the file again or choose another one."
        ) from error


class DataFile:
    """An open file with random access by reads, not by mmap. Methods raise ModelFileError.

    Mapped pages count as resident memory, in addition to the data made from them. If a mapped file
    becomes shorter, the process crashes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with explained(path):
            # O_NONBLOCK: opening a pipe does not wait for its writer.
            self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            weakref.finalize(self, os.close, self._descriptor)
            status = os.fstat(self._descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise MalformedError("it is not a regular file")
            if status.st_size == 0:
                raise MalformedError("it is empty")
            self.size = status.st_size
            self.changed = status.st_mtime_ns, status.st_ctime_ns
            """Nanoseconds: when its bytes last changed, and when anything did."""

    def head(self, most: int) -> bytes:
        """The first `most` bytes, or all bytes of a shorter file."""
        with explained(self.path):
            return os.pread(self._descriptor, most, 0)

    def read(self, start: int, nbytes: int) -> np.ndarray:
        """A new uint8 [nbytes]."""
        room = np.empty(nbytes, dtype=np.uint8)
        done = 0
        with explained(self.path):
            while done < nbytes:
                count = os.preadv(self._descriptor, [room[done:].data], start + done)
                if count == 0:
                    raise MalformedError("it became shorter after it was opened")
                done += count
        return room

    def samples(self, first: int) -> Iterator[bytes]:
        """The file's size, its first `first` bytes, and samples of the others."""
        yield self.size.to_bytes(8, "little")
        yield self.head(first)
        with explained(self.path):
            stride = max((self.size - first) // _SAMPLES, _SAMPLE_BYTES)
            for start in range(first, self.size, stride):
                yield os.pread(self._descriptor, _SAMPLE_BYTES, start)


def shown(name: str) -> str:
    """`name` for a message or a log line: short and in ASCII."""
    return ascii(name if len(name) <= 64 else name[:61] + "...")
