"""The header of a GGUF file: metadata and the tensor table, read in Python.

The layout is that of the GGUF specification, versions 2 and 3 (ggml, docs/gguf.md). The file is
treated as untrusted: every count and length is compared with the remaining bytes before its use.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from math import prod
from typing import Any

import msgspec
import numpy as np

from minikin.model_file.data_file import MalformedError, shown

MAX_HEADER_BYTES = 32 * 1024 * 1024
"""A vocabulary of 260,000 tokens with its merges takes about 15 MiB."""
MAX_ENTRIES = 65_536
"""Maximum number of metadata keys, and of tensors."""
MAX_DIMENSIONS = 4
"""GGML_MAX_DIMS."""
DEFAULT_ALIGNMENT = 32
ALIGNMENTS = frozenset(1 << power for power in range(3, 17))
"""The specification has no maximum. Memory pages have at most 64 KiB."""

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_STRING, _ARRAY, _BOOL = 8, 9, 7
_SCALARS = {
    0: np.dtype("u1"),
    1: np.dtype("i1"),
    2: np.dtype("<u2"),
    3: np.dtype("<i2"),
    4: np.dtype("<u4"),
    5: np.dtype("<i4"),
    6: np.dtype("<f4"),
    _BOOL: np.dtype("?"),
    10: np.dtype("<u8"),
    11: np.dtype("<i8"),
    12: np.dtype("<f8"),
}
_SMALLEST_KEY = 8 + 4 + 1
_SMALLEST_TENSOR = 8 + 4 + 8 + 4 + 8


class GGMLType(IntEnum):
    """How a tensor's numbers are packed: the types that `dequantize` supports."""

    F32 = 0
    F16 = 1
    Q4_0 = 2
    Q4_1 = 3
    Q5_0 = 6
    Q5_1 = 7
    Q8_0 = 8
    Q2_K = 10
    Q3_K = 11
    Q4_K = 12
    Q5_K = 13
    Q6_K = 14
    IQ2_XXS = 16
    IQ2_XS = 17
    IQ3_XXS = 18
    IQ1_S = 19
    IQ4_NL = 20
    IQ3_S = 21
    IQ2_S = 22
    IQ4_XS = 23
    IQ1_M = 29
    BF16 = 30
    TQ1_0 = 34
    TQ2_0 = 35
    MXFP4 = 39
    NVFP4 = 40
    Q1_0 = 41

    @property
    def block_size(self) -> int:
        """Numbers in one block. A row is a whole number of blocks."""
        return _BLOCKS[self][0]

    @property
    def block_bytes(self) -> int:
        """Bytes of one block."""
        return _BLOCKS[self][1]


_BLOCKS = {
    GGMLType.F32: (1, 4),
    GGMLType.F16: (1, 2),
    GGMLType.BF16: (1, 2),
    GGMLType.Q4_0: (32, 18),
    GGMLType.Q4_1: (32, 20),
    GGMLType.Q5_0: (32, 22),
    GGMLType.Q5_1: (32, 24),
    GGMLType.Q8_0: (32, 34),
    GGMLType.Q2_K: (256, 84),
    GGMLType.Q3_K: (256, 110),
    GGMLType.Q4_K: (256, 144),
    GGMLType.Q5_K: (256, 176),
    GGMLType.Q6_K: (256, 210),
    GGMLType.IQ2_XXS: (256, 66),
    GGMLType.IQ2_XS: (256, 74),
    GGMLType.IQ3_XXS: (256, 98),
    GGMLType.IQ1_S: (256, 50),
    GGMLType.IQ4_NL: (32, 18),
    GGMLType.IQ3_S: (256, 110),
    GGMLType.IQ2_S: (256, 82),
    GGMLType.IQ4_XS: (256, 136),
    GGMLType.IQ1_M: (256, 56),
    GGMLType.TQ1_0: (256, 54),
    GGMLType.TQ2_0: (256, 66),
    GGMLType.MXFP4: (32, 17),
    GGMLType.NVFP4: (64, 36),
    GGMLType.Q1_0: (128, 18),
}


class TensorInfo(msgspec.Struct, frozen=True):
    """The place of one tensor in the file, and how to read it."""

    name: str
    shape: tuple[int, ...]
    """Outermost first, as in numpy and torch (the file has it innermost first)."""
    type: GGMLType
    offset: int
    """Bytes from the start of its file."""
    nbytes: int


class Header:
    """Metadata and tensor table, read in order from the first bytes of a file.

    `size` is the size of the file. Raises MalformedError.
    """

    def __init__(self, buffer: bytes, size: int) -> None:
        self._buffer = buffer
        self._size = size
        self._end = len(buffer)
        self._position = 0
        self.metadata: dict[str, Any] = {}
        self.tensors: dict[str, TensorInfo] = {}
        self._check_magic()
        tensor_count = self._u64()
        key_count = self._u64()
        self._check_count("metadata keys", key_count, _SMALLEST_KEY, MAX_ENTRIES)
        self._check_count("tensors", tensor_count, _SMALLEST_TENSOR, MAX_ENTRIES)
        for _ in range(key_count):
            self._read_entry()
        self._read_tensors(tensor_count)
        del self._buffer

    @property
    def split_count(self) -> int:
        """The number of files of the model."""
        count = self.metadata.get("split.count")
        return count if isinstance(count, int) and count > 1 else 1

    def _check_magic(self) -> None:
        magic = self._take(4, "the magic number")
        if magic != b"GGUF":
            raise MalformedError(f"it is not a GGUF file: it starts with {magic!r}, not b'GGUF'")
        version = self._u32()
        if version in (2 << 24, 3 << 24):
            raise MalformedError(
                "it is a big-endian GGUF file. Only little-endian files are supported"
            )
        if version not in (2, 3):
            raise MalformedError(f"its GGUF version is {version}. Only 2 and 3 are supported")

    def _read_entry(self) -> None:
        key = self._string("a metadata key")
        if key in self.metadata:
            raise MalformedError(f"the metadata key {shown(key)} occurs twice")
        self.metadata[key] = self._value(key)

    def _value(self, key: str) -> Any:
        kind = self._u32()
        if kind == _STRING:
            return self._string(shown(key))
        if kind == _ARRAY:
            return self._array(key)
        return self._numbers(key, kind, 1)[0].item()

    def _array(self, key: str) -> list[str] | np.ndarray:
        kind, count = self._u32(), self._u64()
        if kind == _ARRAY:
            raise MalformedError(f"{shown(key)} is an array of arrays, which is not supported")
        if kind == _STRING:
            self._check_count(f"strings in {shown(key)}", count, _U64.size, self._end)
            return self._strings(key, count)
        return self._numbers(key, kind, count)

    def _numbers(self, key: str, kind: int, count: int) -> np.ndarray:
        if kind not in _SCALARS:
            raise MalformedError(f"{shown(key)} has the unknown value type {kind}")
        dtype = _SCALARS[kind]
        packed = self._take(count * dtype.itemsize, shown(key))
        if kind == _BOOL:
            return np.frombuffer(packed, dtype=np.uint8) != 0
        return np.frombuffer(packed, dtype=dtype)

    def _strings(self, key: str, count: int) -> list[str]:
        # Half a million strings decide how fast a file opens. Therefore local names and few calls.
        buffer, position, end = self._buffer, self._position, self._end
        unpack = _U64.unpack_from
        texts: list[str] = []
        append = texts.append
        for _ in range(count):
            start = position + 8
            if start > end:
                raise self._cut_short(shown(key), 8, position)
            (length,) = unpack(buffer, position)
            position = start + length
            if position > end:
                raise self._cut_short(shown(key), length, start)
            append(buffer[start:position].decode())
        self._position = position
        return texts

    def _read_tensors(self, count: int) -> None:
        rows = [self._tensor_row() for _ in range(count)]
        alignment = self.metadata.get("general.alignment", DEFAULT_ALIGNMENT)
        if type(alignment) is not int or alignment not in ALIGNMENTS:
            raise MalformedError("general.alignment is not a power of two from 8 to 65,536")
        self.data_start = -(-self._position // alignment) * alignment
        for name, shape, kind, offset in rows:
            if name in self.tensors:
                raise MalformedError(f"the tensor {shown(name)} occurs twice")
            if offset % alignment:
                raise MalformedError(
                    f"the tensor {shown(name)} is not aligned to {alignment} bytes"
                )
            self.tensors[name] = self._locate(name, shape, kind, self.data_start + offset)

    def _tensor_row(self) -> tuple[str, tuple[int, ...], int, int]:
        name = self._string("a tensor name")
        dimensions = self._u32()
        if not 1 <= dimensions <= MAX_DIMENSIONS:
            raise MalformedError(f"the tensor {shown(name)} has {dimensions} dimensions")
        shape = tuple(self._u64() for _ in range(dimensions))
        return name, shape[::-1], self._u32(), self._u64()

    def _locate(self, name: str, shape: tuple[int, ...], kind: int, offset: int) -> TensorInfo:
        try:
            ggml_type = GGMLType(kind)
        except ValueError as error:
            known = ", ".join(known.name for known in GGMLType)
            raise MalformedError(
                f"the tensor {shown(name)} has GGML type {kind}. Supported types: {known}"
            ) from error
        if 0 in shape or shape[-1] % ggml_type.block_size:
            raise MalformedError(
                f"the tensor {shown(name)} has shape {shape}, which is invalid for {ggml_type.name}"
            )
        nbytes = prod(shape) // ggml_type.block_size * ggml_type.block_bytes
        if offset + nbytes > self._size:
            raise MalformedError(f"the tensor {shown(name)} extends past the end of the file")
        return TensorInfo(name, shape, ggml_type, offset, nbytes)

    def _check_count(self, what: str, count: int, smallest: int, most: int) -> None:
        if count > most or count * smallest > self._end - self._position:
            raise MalformedError(f"its count of {what} is {count}, more than the file can contain")

    def _u32(self) -> int:
        return _U32.unpack(self._take(4, "the header"))[0]

    def _u64(self) -> int:
        return _U64.unpack(self._take(8, "the header"))[0]

    def _string(self, what: str) -> str:
        return self._take(self._u64(), what).decode()

    def _take(self, nbytes: int, what: str) -> bytes:
        start = self._position
        if nbytes > self._end - start:
            raise self._cut_short(what, nbytes, start)
        self._position = start + nbytes
        return self._buffer[start : self._position]

    def _cut_short(self, what: str, nbytes: int, position: int) -> MalformedError:
        left = self._end - position
        limit = "file" if self._end == self._size else f"{MAX_HEADER_BYTES >> 20} MiB header limit"
        return MalformedError(f"{what} needs {nbytes} bytes, but the {limit} leaves {left}")
