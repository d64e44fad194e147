"""Headers that are cut, hostile or damaged."""

from __future__ import annotations

import pickle
import resource
import sys
from pathlib import Path

import pytest

from minikin.errors import ModelFileError
from minikin.model_file.gguf import GGMLType, GGUFFile
from tests.model_file.gguf_bytes import (
    ARRAY,
    BOOL,
    STRING,
    UINT32,
    entry,
    header,
    open_bytes,
    string,
    tensor,
    u32,
    u64,
    with_data,
)

HUGE = 2**62
HOSTILE = {
    "empty": (b"", "it is empty"),
    "three bytes": (b"GGU", "the magic number needs 4 bytes, but the file leaves 3"),
    "magic alone": (b"GGUF", "the header needs 4 bytes, but the file leaves 0"),
    "zip": (b"PK\x03\x04" + bytes(100), "not a GGUF file: it starts with"),
    "pickle": (pickle.dumps({"weights": [1.0] * 100}), "not a GGUF file"),
    "big-endian": (b"GGUF\x00\x00\x00\x03" + bytes(100), "big-endian"),
    "version 1": (header(version=1), "version is 1. Only 2 and 3"),
    "version 4": (header(version=4), "version is 4. Only 2 and 3"),
    "cut in the counts": (header()[:20], "the header needs 8 bytes"),
    "2**63 keys": (header(keys=2**63), f"metadata keys is {2**63}, more than"),
    "2**64-1 tensors": (header(tensors=2**64 - 1), "tensors is 18446744073709551615, more than"),
    "100,000 keys": (
        header(keys=100_000) + bytes(2_000_000),
        "count of metadata keys is 100000, more",
    ),
    "key without value": (header(keys=1) + entry("k", UINT32, b"") + bytes(2), "'k' needs"),
    "key longer than the file": (
        header(keys=1) + u64(HUGE) + bytes(100),
        f"a metadata key needs {HUGE} bytes, but the file leaves 100",
    ),
    "key of wrong encoding": (
        header(keys=1) + string(b"\xff\xfe") + u32(UINT32) + u32(1),
        "a string in it is not UTF-8",
    ),
    "key twice": (
        header(keys=2) + entry("k", UINT32, u32(1)) * 2,
        "the metadata key 'k' occurs twice",
    ),
    "key with control characters": (
        header(keys=2) + entry("a\n\x1b[2J", UINT32, u32(1)) * 2,
        r"the metadata key 'a\\n\\x1b\[2J' occurs twice",
    ),
    "unknown value type": (
        header(keys=1) + entry("k", 13, bytes(100)),
        "'k' has the unknown value type 13",
    ),
    "text longer than the file": (
        header(keys=1) + entry("k", STRING, u64(HUGE)),
        f"'k' needs {HUGE} bytes, but the file leaves 0",
    ),
    "array of 10**9 texts": (
        header(keys=1) + entry("k", ARRAY, u32(STRING) + u64(10**9) + bytes(1000)),
        "its count of strings in 'k' is 1000000000, more than",
    ),
    "array of 10**9 numbers": (
        header(keys=1) + entry("k", ARRAY, u32(UINT32) + u64(10**9) + bytes(1000)),
        "'k' needs 4000000000 bytes",
    ),
    "text in an array longer than the file": (
        header(keys=1) + entry("k", ARRAY, u32(STRING) + u64(2) + u64(0) + u64(HUGE)),
        f"'k' needs {HUGE} bytes",
    ),
    "array cut inside a length": (
        header(keys=1) + entry("k", ARRAY, u32(STRING) + u64(2) + string("12345678") + bytes(7)),
        "'k' needs 8 bytes, but the file leaves 7",
    ),
    "arrays 1,000 deep": (
        header(keys=1) + entry("k", ARRAY, (u32(ARRAY) + u64(1)) * 1000 + u32(BOOL) + u64(1)),
        "'k' is an array of arrays",
    ),
    "one part of several": (
        header(keys=1) + entry("split.count", 2, b"\x03\x00"),
        "one of 3 parts. Open the first part, whose name ends in -00001-of-00003.gguf",
    ),
    "alignment 0": (
        header(keys=1) + entry("general.alignment", UINT32, u32(0)),
        "general.alignment is not a power of two",
    ),
    "alignment 2**40": (
        header(keys=1) + entry("general.alignment", 10, u64(2**40)),
        "general.alignment is not a power of two",
    ),
    "alignment a text": (
        header(keys=1) + entry("general.alignment", STRING, string("32")),
        "general.alignment is not a power of two",
    ),
    "tensor of 2**31 dimensions": (
        header(tensors=1) + string("w") + u32(2**31) + bytes(100),
        "'w' has 2147483648 dimensions",
    ),
    "tensor of no dimension": (header(tensors=1) + tensor(shape=()) + bytes(32), "0 dimensions"),
    "tensor with a dimension of 0": (
        with_data(header(tensors=1) + tensor(shape=(0, 4))),
        r"shape \(0, 4\), which is invalid for F32",
    ),
    "tensor size past 2**64": (
        with_data(header(tensors=1) + tensor(shape=(2**32, 2**32, 2**32))),
        "'w' extends past the end of the file",
    ),
    "row not a whole count of blocks": (
        with_data(header(tensors=1) + tensor(shape=(33,), kind=GGMLType.Q4_0)),
        r"shape \(33,\), which is invalid for Q4_0",
    ),
    "unknown tensor type": (
        with_data(header(tensors=1) + tensor(kind=31)),
        "GGML type 31. Supported types: F32, F16",
    ),
    "offset past the end": (
        with_data(header(tensors=1) + tensor(offset=2**63)),
        "'w' extends past the end of the file",
    ),
    "data cut short": (
        with_data(header(tensors=1) + tensor(), bytes(15)),
        "'w' extends past the end of the file",
    ),
    "no data at all": (header(tensors=1) + tensor(), "'w' extends past the end of the file"),
    "offset not aligned": (
        with_data(header(tensors=1) + tensor(offset=8)),
        "'w' is not aligned to 32 bytes",
    ),
    "tensor twice": (
        with_data(header(tensors=2) + tensor() * 2),
        "the tensor 'w' occurs twice",
    ),
    "absurd tensor name": (
        with_data(header(tensors=2) + tensor("x" * 100_000) * 2),
        r"'x{61}\.\.\.' occurs twice",
    ),
}


@pytest.mark.parametrize(("content", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused_with_its_reason(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    with pytest.raises(ModelFileError, match=reason) as caught:
        open_bytes(tmp_path, content)

    assert str(tmp_path / "model.gguf") in caught.value.message
    assert caught.value.message.isprintable()


def test_every_way_to_cut_a_good_header_is_refused(tmp_path: Path, written: Path) -> None:
    content = written.read_bytes()
    data_start = GGUFFile.open(written).tensors["first"].offset

    for length in range(data_start):
        with pytest.raises(ModelFileError):
            open_bytes(tmp_path, content[:length])


def test_every_flipped_byte_of_a_good_header_is_read_or_refused(
    tmp_path: Path, written: Path
) -> None:
    content = written.read_bytes()

    for place in range(GGUFFile.open(written).tensors["first"].offset):
        for value in (0x00, 0xFF):
            broken = content[:place] + bytes([value]) + content[place + 1 :]
            try:
                file = open_bytes(tmp_path, broken)
            except ModelFileError:
                continue
            for name, info in file.tensors.items():
                assert len(file.data(name)) == info.nbytes


def test_a_hostile_file_costs_little_memory(tmp_path: Path) -> None:
    many = 2_000_000
    array = u32(STRING) + u64(many) + bytes(8 * many - 8) + u64(HUGE)
    content = header(keys=1) + entry("k", ARRAY, array)
    before = peak_memory()

    with pytest.raises(ModelFileError):
        open_bytes(tmp_path, content)

    assert peak_memory() - before < 64 * 1024 * 1024


def peak_memory() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def test_a_header_past_the_limit_is_refused(tmp_path: Path) -> None:
    content = header(keys=1) + entry("k", STRING, string(b"x" * (33 * 1024 * 1024)))

    with pytest.raises(ModelFileError, match="32 MiB header limit leaves"):
        open_bytes(tmp_path, content)
