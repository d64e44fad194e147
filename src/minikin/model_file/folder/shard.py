"""One safetensors file: eight bytes of length, a JSON table of tensors, and their data.

The format is described in the README of the safetensors package. The package itself maps files. The
file is treated as untrusted: every number is compared with the file's size before its use.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from minikin.errors import ModelFileError
from minikin.model_file.data_file import DataFile, MalformedError, explained, shown
from minikin.model_file.folder.files import check_keys, json_object

MAX_HEADER_BYTES = 16 * 1024 * 1024
"""A tensor needs about 130 bytes. The largest published models have 100,000 tensors."""
MAX_DIMENSIONS = 8
Dtype = Literal[
    "BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "U16", "I16", "F16", "BF16", "U32", "I32", "F32",
    "U64", "I64", "F64",
]  # fmt: skip
_ITEM_BYTES: dict[Dtype, int] = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "I16": 2, "F16": 2,
    "BF16": 2, "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip


class Stored(msgspec.Struct, frozen=True):
    """The place, type and shape of one tensor."""

    dtype: Dtype
    shape: tuple[int, ...]
    start: int
    """Bytes from the start of the file."""
    nbytes: int


def misshapen(name: str) -> ModelFileError:
    """The error for a tensor that the folder's format does not have in this form."""
    return ModelFileError(f"The tensor {name[:64]!a} has an unexpected type or shape.")


class Shard(DataFile):
    """An open safetensors file. Every method raises ModelFileError."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with explained(path):
            self.tensors = self._table()

    def tensor(self, name: str) -> np.ndarray:
        """A tensor's bytes, a new uint8 [nbytes]. Raises KeyError for an unknown name."""
        stored = self.tensors[name]
        return self.read(stored.start, stored.nbytes)

    def _table(self) -> dict[str, Stored]:
        length = int.from_bytes(self.head(8), "little")
        if self.size < 8 or length > self.size - 8:
            raise MalformedError("it is not a safetensors file: its header extends past its end")
        if length > MAX_HEADER_BYTES:
            raise MalformedError(
                f"its header has {length} bytes. The maximum is {MAX_HEADER_BYTES}"
            )
        text = self.head(8 + length)[8:]
        table = json_object(text)
        check_keys(text)
        table.pop("__metadata__", None)  # notes from the program that wrote the file
        self.header_bytes = 8 + length
        tensors = {name: self._stored(name, entry) for name, entry in table.items()}
        self._check_cover(tensors)
        return tensors

    def _stored(self, name: str, entry: Any) -> Stored:
        if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
            raise MalformedError(f"the tensor {shown(name)} has no dtype, shape and data_offsets")
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not isinstance(dtype, str) or dtype not in _ITEM_BYTES:
            raise MalformedError(f"the tensor {shown(name)} has the unknown type {_odd(dtype)}")
        if not _are_sizes(shape) or len(shape) > MAX_DIMENSIONS:
            raise MalformedError(f"the tensor {shown(name)} has the invalid shape {_odd(shape)}")
        if not _are_sizes(offsets) or len(offsets) != 2:
            raise MalformedError(
                f"the tensor {shown(name)} has the invalid offsets {_odd(offsets)}"
            )
        begin, end = offsets
        if end - begin != prod(shape) * _ITEM_BYTES[dtype]:
            raise MalformedError(
                f"the tensor {shown(name)} does not have the bytes that its shape needs"
            )
        if end > self.size - self.header_bytes:
            raise MalformedError(f"the tensor {shown(name)} extends past the end of the file")
        return Stored(dtype, tuple(shape), self.header_bytes + begin, end - begin)

    def _check_cover(self, tensors: dict[str, Stored]) -> None:
        """Check that every byte belongs to exactly one tensor, as the format requires."""
        at = self.header_bytes
        for name, stored in sorted(
            tensors.items(), key=lambda item: (item[1].start, item[1].nbytes)
        ):
            if stored.start != at:
                fault = "overlaps another" if stored.start < at else "leaves a gap before it"
                raise MalformedError(f"the tensor {shown(name)} {fault}")
            at += stored.nbytes
        if at != self.size:
            raise MalformedError(f"{self.size - at} bytes at its end belong to no tensor")


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 2**60 for n in value)


def _odd(value: Any) -> str:
    return ascii(value)[:64]
