"""GGUF model files: metadata, tensor table and packed tensor bytes, in one file or split."""

from __future__ import annotations

import hashlib
import os
import stat
import weakref
from collections.abc import Iterator, Mapping
from collections.abc import Sequence as Run
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from minikin.engine.gguf_header import (
    MAX_HEADER_BYTES,
    GGMLType,
    Header,
    MalformedError,
    TensorInfo,
)
from minikin.errors import ModelFileError

__all__ = ["GGMLType", "GGUFFile", "TensorInfo"]

_SAMPLES, _SAMPLE_BYTES = 64, 64 * 1024


class GGUFFile:
    """An open model, in one file or split into parts.

    Headers are read at once, tensors when asked for: nothing is mapped, since the pages of a map
    count as resident beside what was made of them, and end the process if the file is cut short.
    """

    def __init__(self, parts: Run[_Part]) -> None:
        self._parts = parts
        self._homes = {name: part for part in parts for name in part.header.tensors}
        self.metadata: Mapping[str, Any] = MappingProxyType(parts[0].header.metadata)
        """Key -> bool, int, float, str, list of str, or numpy array of numbers or bools."""
        self.tensors: Mapping[str, TensorInfo] = MappingProxyType(
            {name: info for part in parts for name, info in part.header.tensors.items()}
        )

    @classmethod
    def open(cls, path: Path) -> GGUFFile:
        """Open the file at `path`, and if it is the first of several parts, the others beside it.

        Raises ModelFileError, saying why, if there is no such file or it is not a whole and sound
        GGUF file.
        """
        first = _Part(path)
        with _explained(path):
            return cls([first, *_later_parts(first)])

    def data(self, name: str) -> np.ndarray:
        """The packed bytes of a tensor: a new uint8 [nbytes].

        KeyError if unknown; ModelFileError if the file can't be read any more.
        """
        info = self.tensors[name]
        return self._homes[name].read(info.offset, info.nbytes)

    def digest(self) -> str:
        """64 hex digits that tell this model from others, found in milliseconds.

        SHA-256 over each file's size, its header, and 64 samples of 64 KiB spread evenly over the
        tensor data (all of it, if shorter). It tells models and quantizations apart; it does not
        prove that no byte was changed, which takes a hash of the whole file.
        """
        digest = hashlib.sha256()
        for part in self._parts:
            for sample in part.samples():
                digest.update(sample)
        return digest.hexdigest()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what goes wrong with the file at `path` into a ModelFileError."""
    try:
        yield
    except OSError as error:
        raise ModelFileError(f"Can't open the model file {path}: {error.strerror}.") from error
    except (MalformedError, UnicodeDecodeError) as error:
        reason = error if isinstance(error, MalformedError) else "a text in it is not UTF-8"
        raise ModelFileError(
            f"Can't use the model file {path}: {reason}. "
            "Fetch the file again or choose another one."
        ) from error


class _Part:
    """An open file with its header. Every method raises ModelFileError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with _explained(path):
            # O_NONBLOCK: opening a pipe must not wait for its writer.
            self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            weakref.finalize(self, os.close, self._descriptor)
            status = os.fstat(self._descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise MalformedError("it is not a regular file")
            if status.st_size == 0:
                raise MalformedError("it is empty")
            self._size = status.st_size
            self.header = Header(os.pread(self._descriptor, MAX_HEADER_BYTES, 0), self._size)

    def read(self, start: int, nbytes: int) -> np.ndarray:
        """uint8 [nbytes]."""
        room = np.empty(nbytes, dtype=np.uint8)
        done = 0
        with _explained(self.path):
            while done < nbytes:
                count = os.preadv(self._descriptor, [room[done:].data], start + done)
                if count == 0:
                    raise MalformedError("it was cut short after it had been opened")
                done += count
        return room

    def samples(self) -> Iterator[bytes]:
        """The file's size, header, and samples of its data."""
        first = min(self.header.data_start, self._size)
        yield self._size.to_bytes(8, "little")
        with _explained(self.path):
            yield os.pread(self._descriptor, first, 0)
            stride = max((self._size - first) // _SAMPLES, _SAMPLE_BYTES)
            for start in range(first, self._size, stride):
                yield os.pread(self._descriptor, _SAMPLE_BYTES, start)


def _later_parts(first: _Part) -> Iterator[_Part]:
    """The parts after the first, found by its name: nothing in the file says where they lie."""
    count, tensors = first.header.split_count, len(first.header.tensors)
    if count == 1:
        return
    ending = f"-00001-of-{count:05}.gguf"
    if first.header.metadata.get("split.no") != 0 or not first.path.name.endswith(ending):
        raise MalformedError(
            f"it is one of {count} parts; open the first, whose name ends in {ending}"
        )
    seen = set(first.header.tensors)
    for number in range(1, count):
        name = f"{first.path.name.removesuffix(ending)}-{number + 1:05}-of-{count:05}.gguf"
        part = _Part(first.path.with_name(name))
        header = part.header
        if header.split_count != count or header.metadata.get("split.no") != number:
            raise MalformedError(f"{name} is no part of it")
        if not seen.isdisjoint(header.tensors):
            raise MalformedError(f"{name} has a tensor that another part has")
        seen |= set(header.tensors)
        tensors += len(header.tensors)
        yield part
    if first.header.metadata.get("split.tensors.count", tensors) != tensors:
        raise MalformedError(f"its parts have {tensors} tensors, which is not what it says")
