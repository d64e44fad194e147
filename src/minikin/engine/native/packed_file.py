"""Packed matrices in one file, which processes map and share.

The cells of all matrices come first, each at a multiple of ALIGNMENT. The table of the matrices
follows, and last its digest and its length. A file that is not whole has no valid end. A reader
compares the table with the file: its size, the time of its last change, and samples of its cells.
The kernels read every bit pattern as numbers, so wrong cells could not crash them.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
import time
from collections.abc import Iterator
from collections.abc import Sequence as Run
from hashlib import blake2b
from pathlib import Path

import msgspec
import numpy as np

from minikin.engine.native.arrays import ALIGNMENT
from minikin.engine.native.kernels import Kernels, PackedMatrix

_END = struct.Struct("<32sQ8s")
"""The digest of the table, its length, and _MAGIC."""
_MAGIC = b"minikin1"
_SAMPLES, _SAMPLE_BYTES = 64, 16 * 1024


class DamagedError(Exception):
    """The file is not the one that was written. The text is the reason."""


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    rows: int
    width: int
    bits: int
    gated: bool
    start: int


class _Table(msgspec.Struct, frozen=True):
    key: str
    written: int
    """Nanoseconds: the time of the last change that the writer gives the file."""
    samples: bytes
    """A digest of parts of the cells."""
    cells: int
    """The bytes of all cells."""
    entries: tuple[_Entry, ...]


def write_packed(path: Path, key: str, matrices: Run[PackedMatrix]) -> None:
    """Write the matrices to `path`, and wait until they are on the disk. Raises OSError."""
    entries, size = _entries(matrices)
    with path.open("w+b") as file:
        _reserve(file.fileno(), size)
        for matrix, entry in zip(matrices, entries, strict=True):
            file.seek(entry.start)
            file.write(matrix.cells.data)
        file.flush()
        # Whole even seconds: every file system can store them.
        written = int(time.time()) // 2 * 2 * 10**9
        samples = _sampled(_mapped(file.fileno())[:size])
        table = msgspec.msgpack.encode(_Table(key, written, samples, size, entries))
        file.seek(size)
        file.write(table + _END.pack(_digest(table), len(table), _MAGIC))
        file.flush()
        os.fsync(file.fileno())
        os.utime(file.fileno(), ns=(time.time_ns(), written))


def _reserve(descriptor: int, size: int) -> None:
    """Give the file its size. On Linux, a full disk is known before the work."""
    if sys.platform == "linux":
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.ftruncate(descriptor, size)


def read_packed(path: Path, key: str, kernels: Kernels) -> list[PackedMatrix]:
    """Map the matrices that were written with this key, read-only.

    Raises DamagedError with a reason, or OSError.
    """
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if status.st_size <= _END.size:
            raise DamagedError("it is too short")
        mapped = _mapped(file.fileno())
    table = _table(mapped)
    cells = mapped[: table.cells]
    if table.key != key:
        raise DamagedError("it belongs to another model")
    if table.written != status.st_mtime_ns or table.samples != _sampled(cells):
        raise DamagedError("it was changed")
    return list(_matrices(table.entries, cells, kernels))


def _entries(matrices: Run[PackedMatrix]) -> tuple[tuple[_Entry, ...], int]:
    """Where each matrix is, and the bytes of all."""
    entries: list[_Entry] = []
    end = 0
    for one in matrices:
        entries.append(_Entry(*one.shape, one.bits, one.gated, end))
        end += -(-one.cells.size // ALIGNMENT) * ALIGNMENT
    return tuple(entries), end


def _table(mapped: np.ndarray) -> _Table:
    """The table, whose sizes are those of the file."""
    digest, length, magic = _END.unpack(mapped[-_END.size :].tobytes())
    end = len(mapped) - _END.size
    if magic != _MAGIC or length > end:
        raise DamagedError("it has no valid end")
    data = mapped[end - length : end].tobytes()
    if _digest(data) != digest:
        raise DamagedError("its table was changed")
    try:
        table = msgspec.msgpack.decode(data, type=_Table)
    except msgspec.MsgspecError as error:
        raise DamagedError("its table is not valid") from error
    if table.cells != end - length:
        raise DamagedError("it has another size than its table says")
    return table


def _matrices(entries: Run[_Entry], cells: np.ndarray, kernels: Kernels) -> Iterator[PackedMatrix]:
    for rows, width, bits, gated, start in map(msgspec.structs.astuple, entries):
        shape_fits = rows > 0 and bits in (4, 8, 16) and PackedMatrix.fits(rows, width, gated=gated)
        end = start + PackedMatrix.size(kernels, rows, width, bits) if shape_fits else 0
        if not 0 <= start < end <= len(cells) or start % ALIGNMENT:
            raise DamagedError("a matrix is not inside it")
        yield PackedMatrix(kernels, cells[start:end], rows, width, bits, gated=gated)


def _mapped(descriptor: int) -> np.ndarray:
    """The file as uint8, read-only. Other processes that map it use the same memory."""
    mapped = mmap.mmap(descriptor, 0, mmap.MAP_SHARED, mmap.PROT_READ)
    mapped.madvise(mmap.MADV_WILLNEED)
    return np.frombuffer(mapped, np.uint8)


def _sampled(cells: np.ndarray) -> bytes:
    """A digest of samples at equal distances."""
    digest = blake2b(digest_size=32)
    for start in range(0, len(cells), max(len(cells) // _SAMPLES, _SAMPLE_BYTES)):
        digest.update(cells[start : start + _SAMPLE_BYTES].data)
    return digest.digest()


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=32).digest()
