"""GGUF model files: metadata, tensor table and packed tensor bytes, in one file or split."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from collections.abc import Sequence as Run
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from minikin.model_file.data_file import DataFile, MalformedError, explained
from minikin.model_file.gguf_header import MAX_HEADER_BYTES, GGMLType, Header, TensorInfo

__all__ = ["GGMLType", "GGUFFile", "TensorInfo"]


class GGUFFile:
    """An open model, in one file or split into parts.

    `open` reads the headers. Tensors are read on request (see DataFile).
    """

    def __init__(self, parts: Run[_Part]) -> None:
        self._parts = parts
        self._homes = {name: part for part in parts for name in part.header.tensors}
        self.metadata: Mapping[str, Any] = MappingProxyType(parts[0].header.metadata)
        """Key -> bool, int, float, str, list of str, or numpy array of numbers or bools."""
        self.quantization: str | None = None
        self.tensors: Mapping[str, TensorInfo] = MappingProxyType(
            {name: info for part in parts for name, info in part.header.tensors.items()}
        )
        self.changed = [part.changed for part in parts]
        """See `ModelFile`."""

    @classmethod
    def open(cls, path: Path) -> GGUFFile:
        """Open the file at `path`. If it is the first of several parts, open the others beside it.

        Raises ModelFileError with the reason if the file is missing or not a valid GGUF file.
        """
        first = _Part(path)
        with explained(path):
            return cls([first, *_later_parts(first)])

    def data(self, name: str) -> np.ndarray:
        """The packed bytes of a tensor: a new uint8 [nbytes].

        Raises KeyError if unknown, ModelFileError if the file is no longer readable.
        """
        info = self.tensors[name]
        return self._homes[name].read(info.offset, info.nbytes)

    def digest(self) -> str:
        """64 hex digits that identify this model, computed in milliseconds.

        SHA-256 of each file's size, its header, and 64 samples of 64 KiB at equal distances in the
        tensor data (all of it, if it is shorter). It distinguishes models and quantizations. It
        does not prove that every byte is unchanged; that needs a hash of the whole file.
        """
        digest = hashlib.sha256()
        for part in self._parts:
            for sample in part.samples(min(part.header.data_start, part.size)):
                digest.update(sample)
        return digest.hexdigest()


class _Part(DataFile):
    """A file with its header."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with explained(path):
            self.header = Header(self.head(MAX_HEADER_BYTES), self.size)


def _later_parts(first: _Part) -> Iterator[_Part]:
    """The parts after the first, found by its name, because the file does not name them."""
    count, tensors = first.header.split_count, len(first.header.tensors)
    if count == 1:
        return
    ending = f"-00001-of-{count:05}.gguf"
    if first.header.metadata.get("split.no") != 0 or not first.path.name.endswith(ending):
        raise MalformedError(
            f"it is one of {count} parts. Open the first part, whose name ends in {ending}"
        )
    seen = set(first.header.tensors)
    for number in range(1, count):
        name = f"{first.path.name.removesuffix(ending)}-{number + 1:05}-of-{count:05}.gguf"
        part = _Part(first.path.with_name(name))
        header = part.header
        if header.split_count != count or header.metadata.get("split.no") != number:
            raise MalformedError(f"{name} is not a part of it")
        if not seen.isdisjoint(header.tensors):
            raise MalformedError(f"{name} has a tensor that another part also has")
        seen |= set(header.tensors)
        tensors += len(header.tensors)
        yield part
    if first.header.metadata.get("split.tensors.count", tensors) != tensors:
        raise MalformedError(
            f"its parts have {tensors} tensors, but its header says another number"
        )
