"""Every field of a sound model file, made wrong in several ways.

The files are read by a process of its own (this module, run as a script) that may have 1 GiB.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import resource
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from minikin.errors import ModelFileError
from minikin.model_file.dequantize import dequantize
from minikin.model_file.gguf import GGMLType, GGUFFile
from minikin.tokenizer.tokenizer import Tokenizer

COUNT = 300
MEMORY = 1 << 30
SECONDS = 20
VOCABULARY = ["a", "b", "Ġ", "ab", "<|end|>"]
TENSORS = {"token_embd.weight": (5, 32, GGMLType.Q4_0), "blk.0.x": (3, 256, GGMLType.Q6_K)}
U8, I32, U32, F32, BOOL, STRING, ARRAY = 0, 5, 4, 6, 7, 8, 9
SIZES = (0, 1, 2, 7, 31, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63, 2**64 - 1)
TEXTS = (b"", b"\xff\xfe", b"\0", b"\n\x1b[2J", b"../../x", b"A" * 100_000, "\u202e\ud7ff".encode())


def u32(value: int) -> bytes:
    return struct.pack("<I", value)


def u64(value: int) -> bytes:
    return struct.pack("<Q", value)


def text(value: str) -> list[bytes]:
    return [u64(len(value.encode())), value.encode()]


def entry(key: str, kind: int, *value: bytes) -> list[bytes]:
    return [*text(key), u32(kind), *value]


def entries() -> list[list[bytes]]:
    count = u64(len(VOCABULARY))
    tokens = [piece for token in VOCABULARY for piece in text(token)]
    types = struct.pack(f"<{len(VOCABULARY)}i", 1, 1, 1, 1, 3)
    return [
        entry("general.architecture", STRING, *text("llama")),
        entry("general.alignment", U32, u32(32)),
        entry("llama.attention.layer_norm_rms_epsilon", F32, struct.pack("<f", 1e-5)),
        entry("llama.block_count", U32, u32(1)),
        entry("some.byte", U8, b"\x07"),
        entry("tokenizer.ggml.model", STRING, *text("gpt2")),
        entry("tokenizer.ggml.pre", STRING, *text("smollm")),
        entry("tokenizer.ggml.tokens", ARRAY, u32(STRING), count, *tokens),
        entry("tokenizer.ggml.token_type", ARRAY, u32(I32), count, types),
        entry("tokenizer.ggml.merges", ARRAY, u32(STRING), u64(1), *text("a b")),
        entry("tokenizer.ggml.eos_token_id", U32, u32(4)),
        entry("tokenizer.ggml.bos_token_id", U32, u32(4)),
        entry("tokenizer.ggml.add_bos_token", BOOL, b"\0"),
    ]


def fields() -> list[bytes]:
    """A sound file, cut where its fields meet."""
    metadata = entries()
    pieces = [b"GGUF", u32(3), u64(len(TENSORS)), u64(len(metadata)), *itertools.chain(*metadata)]
    offset = 0
    for name, (rows, width, kind) in TENSORS.items():
        pieces += [*text(name), u32(2), u64(width), u64(rows), u32(kind), u64(offset)]
        offset += -(-rows * width // kind.block_size * kind.block_bytes // 32) * 32
    return [*pieces, bytes(-len(b"".join(pieces)) % 32), bytes(offset)]


def corrupted(count: int) -> Iterator[bytes]:
    """`count` files with one field wrong each; the fields take turns."""
    chance, sound = random.Random(0), fields()
    for place in itertools.islice(itertools.cycle(range(len(sound))), count):
        pieces = list(sound)
        pieces[place] = wrong(pieces[place], chance)
        yield b"".join(pieces)


def wrong(field: bytes, chance: random.Random) -> bytes:
    """Another value, as long as the field or not; a field dropped, doubled or cut."""
    others = [b"", field * 2, field[: len(field) // 2], chance.randbytes(len(field))]
    if len(field) in (4, 8):
        of_size = (size for size in SIZES if size < 256 ** len(field))
        others += [size.to_bytes(len(field), "little") for size in of_size]
    else:
        others += TEXTS
    return chance.choice([other for other in others if other != field])


def load(path: Path) -> None:
    """Read all that there is in a file."""
    file = GGUFFile.open(path)
    file.digest()
    for name, info in file.tensors.items():
        assert dequantize(file.data(name), info.type, info.shape).shape == info.shape
    Tokenizer.from_gguf(file.metadata).encode("ab <|end|>")


def report(folder: Path) -> None:
    """Print for each file in `folder` why it is refused, or null."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for path in sorted(folder.iterdir()):
        reason = None
        try:
            load(path)
        except ModelFileError as error:
            reason = error.message
        print(json.dumps([path.name, reason]), flush=True)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on memory that holds")
def test_corrupted_files_are_refused_in_a_line_or_read(tmp_path: Path) -> None:
    (tmp_path / "sound.gguf").write_bytes(b"".join(fields()))
    for number, content in enumerate(corrupted(COUNT)):
        (tmp_path / f"{number:03}.gguf").write_bytes(content)
    environment = {
        **os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"
    }  # fmt: skip
    before = resource.getrusage(resource.RUSAGE_CHILDREN)

    child = subprocess.run(
        [sys.executable, "-W", "error", __file__, tmp_path],
        capture_output=True, env=environment, text=True, check=False,
    )  # fmt: skip

    reasons = dict(json.loads(line) for line in child.stdout.splitlines())
    assert child.returncode == 0, f"after {len(reasons)} files: {child.stderr}"
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < SECONDS
    assert len(reasons) == COUNT + 1
    assert reasons.pop("sound.gguf") is None
    refused = [reason for reason in reasons.values() if reason is not None]
    # What is left changes the data, or a value that nothing depends on.
    assert len(refused) > COUNT * 3 // 4
    assert all(reason.isprintable() and len(reason) < 1000 for reason in refused)


def test_the_files_are_the_same_each_time_and_differ_from_the_sound_one() -> None:
    files = list(corrupted(COUNT))

    assert files == list(corrupted(COUNT))
    assert b"".join(fields()) not in files
    assert len(set(files)) > COUNT * 3 // 4


if __name__ == "__main__":
    report(Path(sys.argv[1]))
