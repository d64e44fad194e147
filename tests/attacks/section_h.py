"""Section H: model files. The readers run in a process of their own, whose exit decides."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.attacks.case import Case, Target
from tests.model_file import test_hostile_gguf as gguf

OPTIONS = ()


def u32(value: int) -> bytes:
    return struct.pack("<I", value)


def u64(value: int) -> bytes:
    return struct.pack("<Q", value)


def head(tensors: int = 0, keys: int = 0) -> bytes:
    return b"GGUF" + u32(3) + u64(tensors) + u64(keys)


def tensor(dims: int, shape: bytes, offset: int) -> bytes:
    return u64(1) + b"w" + u32(dims) + shape + u32(0) + u64(offset)


def changed(key: str, *entry: bytes) -> bytes:
    """The sound file with another entry for a key."""
    sound = gguf.entries()
    found = [list(entry) if each[1] == key.encode() else each for each in sound]
    pieces = [b"GGUF", u32(3), u64(len(gguf.TENSORS)), u64(len(found)), *itertools.chain(*found)]
    rest = b"".join(gguf.fields())[len(b"".join([*pieces[:4], *itertools.chain(*sound)])) :]
    return b"".join(pieces) + rest


ARRAY, STRING = gguf.ARRAY, gguf.STRING
TOKENS = "tokenizer.ggml.tokens"
FILES = {
    103: [b"", b"GGU", b"GGUF", b"GGUF" + u32(3), b"\x80\x04pickle", b"PK\x03\x04" + bytes(100)],
    104: [head(1) + tensor(1, u64(4), 2**60) + bytes(64), head(1) + tensor(2**31, u64(4), 0),
          head(1) + tensor(2, u64(2**33) * 2, 0), head(1) + tensor(1, u64(0), 0)],
    105: [head(keys=2**63), head(2**63), head(keys=1) + u64(2**62),
          head(keys=1) + u64(1) + b"a" + (u32(ARRAY) + u64(1)) * 1_000,
          head(keys=1) + u64(1) + b"a" + u32(ARRAY) + u32(0) + u64(10**9)],
    106: [changed(TOKENS, *gguf.entry(TOKENS, ARRAY, u32(STRING), u64(2), *gguf.text("a") * 2)),
          changed("tokenizer.ggml.merges", *gguf.entry(
              "tokenizer.ggml.merges", ARRAY, u32(STRING), u64(1), *gguf.text("x y"))),
          changed("tokenizer.ggml.pre", *gguf.entry(
              "tokenizer.ggml.pre", STRING, *gguf.text("no-such-family")))],
}  # fmt: skip


def refused(row: int) -> Case:
    """Each of the row's files is refused in one line, in little memory."""

    async def check(target: Target) -> list[str]:
        return await asyncio.to_thread(read, FILES[row])

    return Case(row, f"{len(FILES[row])} files", check, memory=False)


def read(contents: list[bytes]) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        for number, content in enumerate(contents):
            (Path(folder) / f"{number:02}.gguf").write_bytes(content)
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        child = subprocess.run(
            [sys.executable, gguf.__file__, folder], capture_output=True, env=environment,
            text=True, check=False,
        )  # fmt: skip
    reasons = dict(json.loads(line) for line in child.stdout.splitlines())
    faults = [f"{name} loads" for name, reason in reasons.items() if reason is None]
    if child.returncode or len(reasons) != len(contents):
        faults.append(f"exit {child.returncode}: {child.stderr[-200:]}")
    return faults


async def strange_name(target: Target) -> list[str]:
    """Row 111: a file whose name would colour the terminal, and a broken one."""

    def serve() -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a\x1b[31m\nFORGED.gguf"
            path.write_bytes(b"GGUF")
            command = [sys.executable, "-m", "minikin", "serve", "--port", "8999", str(path)]
            return subprocess.run(command, capture_output=True, text=True, check=False)

    ended = await asyncio.to_thread(serve)
    faults = [] if ended.returncode == 1 else [f"exit {ended.returncode}"]
    if "\x1b" in ended.stderr + ended.stdout or "\nFORGED" in ended.stderr + ended.stdout:
        faults.append(f"escapes in its output: {ended.stderr!r}")
    return faults + (["a traceback"] if "Traceback" in ended.stderr else [])


CASES: list[Case] = [
    *map(refused, FILES),
    Case(111, "a name with escapes", strange_name, memory=False),
]
