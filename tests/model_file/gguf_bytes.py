"""GGUF files spelled out byte by byte."""

from __future__ import annotations

import struct
from pathlib import Path

from minikin.model_file.gguf import GGMLType, GGUFFile

STRING, ARRAY, UINT32, BOOL = 8, 9, 4, 7


def u32(value: int) -> bytes:
    return struct.pack("<I", value)


def u64(value: int) -> bytes:
    return struct.pack("<Q", value)


def string(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return u64(len(raw)) + raw


def header(keys: int = 0, tensors: int = 0, version: int = 3) -> bytes:
    return b"GGUF" + u32(version) + u64(tensors) + u64(keys)


def entry(key: str, kind: int, value: bytes) -> bytes:
    return string(key) + u32(kind) + value


def tensor(
    name: str = "w", shape: tuple[int, ...] = (4,), kind: int = GGMLType.F32, offset: int = 0
) -> bytes:
    dimensions = b"".join(u64(size) for size in reversed(shape))
    return string(name) + u32(len(shape)) + dimensions + u32(kind) + u64(offset)


def with_data(head: bytes, data: bytes = bytes(64), alignment: int = 32) -> bytes:
    return head + bytes(-len(head) % alignment) + data


def open_bytes(folder: Path, content: bytes) -> GGUFFile:
    path = folder / "model.gguf"
    path.write_bytes(content)
    return GGUFFile.open(path)
