"""Reads a library of macOS: the symbols that it has, and those that it needs."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

_HEADER = struct.Struct("<IIIIIIII")
_SYMBOL_TABLE = struct.Struct("<IIIIII")
_SYMBOL = struct.Struct("<IBBHQ")
_MAGIC, _DYLIB, _SYMTAB = 0xFEEDFACF, 6, 2
_EXTERNAL, _KIND, _STAB = 0x01, 0x0E, 0xE0
_CPUS = {0x01000007: "x86_64", 0x0100000C: "arm64"}


@dataclass(frozen=True)
class MachO:
    """See `<mach-o/loader.h>` and `<mach-o/nlist.h>`."""

    cpu: str
    exported: frozenset[str]
    """As in C, without the underscore of macOS."""
    needed: frozenset[str]


def read(library: Path) -> MachO:
    data = library.read_bytes()
    magic, cpu, _, kind, commands, *_ = _HEADER.unpack_from(data)
    assert (magic, kind) == (_MAGIC, _DYLIB), f"{library} is no library for macOS"
    exported, needed = set(), set()
    at = _HEADER.size
    for _ in range(commands):
        command, size = struct.unpack_from("<II", data, at)
        if command == _SYMTAB:
            _, _, symbols, count, strings, _ = _SYMBOL_TABLE.unpack_from(data, at)
            for i in range(count):
                name, type_, *_ = _SYMBOL.unpack_from(data, symbols + i * _SYMBOL.size)
                if type_ & _EXTERNAL and not type_ & _STAB:
                    end = data.index(b"\0", strings + name)
                    text = data[strings + name : end].decode().removeprefix("_")
                    (exported if type_ & _KIND else needed).add(text)
        at += size
    return MachO(_CPUS[cpu], frozenset(exported), frozenset(needed))
