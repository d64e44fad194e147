from __future__ import annotations

import os
import pickle
import resource
import struct
import sys
import time
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from minikin.errors import ModelFileError
from minikin.model_file.gguf import GGMLType, GGUFFile, TensorInfo

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


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A small file with a value of every kind, from the reference writer."""
    path = tmp_path / "written.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_bool("some.bool", True)
    writer.add_int8("some.int8", -3)
    writer.add_uint64("some.uint64", 2**63)
    writer.add_float32("some.float32", 0.5)
    writer.add_float64("some.float64", 0.1)
    writer.add_string("some.string", "naïve 日本")
    writer.add_array("some.strings", ["a", "", "Ġ日"])
    writer.add_array("some.ints", [1, -2, 3])
    writer.add_array("some.floats", [0.25, -1.5])
    writer.add_array("some.bools", [True, False])
    writer.add_tensor("first", np.arange(6, dtype=np.float32).reshape(2, 3))
    writer.add_tensor("second", np.arange(5, dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_metadata_comes_with_its_types(written: Path) -> None:
    metadata = dict(GGUFFile.open(written).metadata)

    assert metadata.pop("some.ints").tolist() == [1, -2, 3]
    assert metadata.pop("some.floats").tolist() == [0.25, -1.5]
    assert metadata.pop("some.bools").tolist() == [True, False]
    assert metadata == {
        "general.architecture": "llama",
        "some.bool": True,
        "some.int8": -3,
        "some.uint64": 2**63,
        "some.float32": 0.5,
        "some.float64": 0.1,
        "some.string": "naïve 日本",
        "some.strings": ["a", "", "Ġ日"],
    }
    assert type(metadata["some.bool"]) is bool


def test_tensors_are_described_outermost_first(written: Path) -> None:
    file = GGUFFile.open(written)
    first, second = file.tensors["first"], file.tensors["second"]

    assert list(file.tensors) == ["first", "second"]
    assert first == TensorInfo("first", (2, 3), GGMLType.F32, first.offset, 24)
    assert second == TensorInfo("second", (5,), GGMLType.F16, first.offset + 32, 10)
    assert file.data("first").view(np.float32).tolist() == [0, 1, 2, 3, 4, 5]
    assert file.data("second").view(np.float16).tolist() == [0, 1, 2, 3, 4]


def test_nothing_of_an_open_file_can_be_changed(written: Path) -> None:
    file = GGUFFile.open(written)

    file.data("first")[0] = 1
    assert file.data("first")[0] == 0
    with pytest.raises(TypeError):
        file.metadata["x"] = 1  # type: ignore[index]
    with pytest.raises(KeyError):
        file.data("third")


def test_version_2_reads_the_same(written: Path) -> None:
    content = bytearray(written.read_bytes())
    content[4:8] = u32(2)
    written.write_bytes(content)

    assert GGUFFile.open(written).tensors["first"].shape == (2, 3)


def test_a_file_may_state_its_own_alignment(tmp_path: Path) -> None:
    head = header(keys=1, tensors=1) + entry("general.alignment", UINT32, u32(64)) + tensor()

    file = open_bytes(tmp_path, with_data(head, bytes(range(16)), alignment=64))

    assert file.tensors["w"].offset % 64 == 0
    assert file.data("w").tolist() == list(range(16))


def test_a_file_cut_short_after_it_was_opened_is_an_error(written: Path) -> None:
    file = GGUFFile.open(written)
    with written.open("r+b") as cut:
        cut.truncate(file.tensors["first"].offset + 8)

    with pytest.raises(ModelFileError, match="cut short"):
        file.data("first")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_tensors_that_were_let_go_take_no_memory(tmp_path: Path) -> None:
    size = 256 * 1024 * 1024
    head = header(tensors=4) + b"".join(
        tensor(name, (size // 16,), offset=place * size // 4) for place, name in enumerate("abcd")
    )
    path = tmp_path / "model.gguf"
    path.write_bytes(with_data(head, b""))
    os.truncate(path, path.stat().st_size + size)
    file, before = GGUFFile.open(path), resident_memory()

    assert sum(int(file.data(name).sum()) for name in file.tensors) == 0

    assert resident_memory() - before < size // 2


def resident_memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def write_parts(folder: Path, numbers: list[int], count: int = 3) -> list[Path]:
    """The parts `numbers` of a split model, each with one tensor: 'w0' of zeros, 'w1' of ones..."""
    paths: list[Path] = []
    for number in numbers:
        head = header(keys=3, tensors=1)
        head += entry("split.no", 2, struct.pack("<H", number))
        head += entry("split.count", 2, struct.pack("<H", count))
        head += entry("split.tensors.count", 5, struct.pack("<i", count))
        head += tensor(f"w{number}")
        paths.append(folder / f"big-{number + 1:05}-of-{count:05}.gguf")
        paths[-1].write_bytes(with_data(head, bytes([number]) * 16))
    return paths


def test_a_split_model_opens_by_its_first_part(tmp_path: Path) -> None:
    parts = write_parts(tmp_path, [0, 1, 2])

    file = GGUFFile.open(parts[0])

    assert [file.data(name).tolist() for name in ("w0", "w1", "w2")] == [
        [number] * 16 for number in range(3)
    ]
    before = file.digest()
    parts[2].write_bytes(parts[2].read_bytes()[:-1] + b"x")
    assert GGUFFile.open(parts[0]).digest() != before


def test_a_split_model_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    first, second = write_parts(tmp_path, [0, 1])
    with pytest.raises(ModelFileError, match=r"00003-of-00003.*No such file"):
        GGUFFile.open(first)
    with pytest.raises(ModelFileError, match="open the first"):
        GGUFFile.open(second)
    second.rename(tmp_path / "big-00003-of-00003.gguf")
    write_parts(tmp_path, [1])
    with pytest.raises(ModelFileError, match=r"big-00003-of-00003\.gguf is no part of it"):
        GGUFFile.open(first)


def test_parts_that_share_or_lack_a_tensor_are_refused(tmp_path: Path) -> None:
    first, second = write_parts(tmp_path, [0, 1], count=2)
    content = second.read_bytes()

    second.write_bytes(content.replace(b"w1", b"w0"))
    with pytest.raises(ModelFileError, match="has a tensor that another part has"):
        GGUFFile.open(first)
    second.write_bytes(content)
    lying = first.read_bytes().replace(struct.pack("<Ii", 5, 2), struct.pack("<Ii", 5, 7))
    first.write_bytes(lying)
    with pytest.raises(ModelFileError, match="its parts have 2 tensors, which is not what it says"):
        GGUFFile.open(first)


def test_the_digest_tells_files_apart(tmp_path: Path) -> None:
    data = bytes(10_000_000)
    head = header(tensors=1) + tensor(shape=(2_500_000,))

    def digest(content: bytes) -> str:
        return open_bytes(tmp_path, content).digest()

    original = digest(with_data(head, data))
    other_weights = digest(with_data(head, b"\x01" * len(data)))
    other_name = digest(with_data(header(tensors=1) + tensor("v", (2_500_000,)), data))
    longer = digest(with_data(head, data + b"\0"))

    assert original == digest(with_data(head, data))
    assert len(original) == 64
    assert len({original, other_weights, other_name, longer}) == 4


HUGE = 2**62
HOSTILE = {
    "empty": (b"", "it is empty"),
    "three bytes": (b"GGU", "the magic number should take 4 bytes, and the file leaves 3"),
    "magic alone": (b"GGUF", "the header should take 4 bytes, and the file leaves 0"),
    "zip": (b"PK\x03\x04" + bytes(100), "not a GGUF file: it starts with"),
    "pickle": (pickle.dumps({"weights": [1.0] * 100}), "not a GGUF file"),
    "big-endian": (b"GGUF\x00\x00\x00\x03" + bytes(100), "big-endian"),
    "version 1": (header(version=1), "version 1, and only 2 and 3"),
    "version 4": (header(version=4), "version 4, and only 2 and 3"),
    "cut in the counts": (header()[:20], "the header should take 8 bytes"),
    "2**63 keys": (header(keys=2**63), f"{2**63} metadata keys, more than it has room for"),
    "2**64-1 tensors": (header(tensors=2**64 - 1), "tensors, more than it has room for"),
    "100,000 keys": (header(keys=100_000) + bytes(2_000_000), "100000 metadata keys, more"),
    "key without value": (header(keys=1) + entry("k", UINT32, b"") + bytes(2), "'k' should take"),
    "key longer than the file": (
        header(keys=1) + u64(HUGE) + bytes(100),
        f"a metadata key should take {HUGE} bytes, and the file leaves 100",
    ),
    "key of wrong encoding": (
        header(keys=1) + string(b"\xff\xfe") + u32(UINT32) + u32(1),
        "a text in it is not UTF-8",
    ),
    "key twice": (
        header(keys=2) + entry("k", UINT32, u32(1)) * 2,
        "the metadata key 'k' is there twice",
    ),
    "key with control characters": (
        header(keys=2) + entry("a\n\x1b[2J", UINT32, u32(1)) * 2,
        r"the metadata key 'a\\n\\x1b\[2J' is there twice",
    ),
    "unknown value type": (
        header(keys=1) + entry("k", 13, bytes(100)),
        "'k' has the unknown value type 13",
    ),
    "text longer than the file": (
        header(keys=1) + entry("k", STRING, u64(HUGE)),
        f"'k' should take {HUGE} bytes, and the file leaves 0",
    ),
    "array of 10**9 texts": (
        header(keys=1) + entry("k", ARRAY, u32(STRING) + u64(10**9) + bytes(1000)),
        "1000000000 texts in 'k', more than it has room for",
    ),
    "array of 10**9 numbers": (
        header(keys=1) + entry("k", ARRAY, u32(UINT32) + u64(10**9) + bytes(1000)),
        "'k' should take 4000000000 bytes",
    ),
    "text in an array longer than the file": (
        header(keys=1) + entry("k", ARRAY, u32(STRING) + u64(2) + u64(0) + u64(HUGE)),
        f"'k' should take {HUGE} bytes",
    ),
    "array cut inside a length": (
        header(keys=1) + entry("k", ARRAY, u32(STRING) + u64(2) + string("12345678") + bytes(7)),
        "'k' should take 8 bytes, and the file leaves 7",
    ),
    "arrays 1,000 deep": (
        header(keys=1) + entry("k", ARRAY, (u32(ARRAY) + u64(1)) * 1000 + u32(BOOL) + u64(1)),
        "'k' is an array of arrays",
    ),
    "one part of several": (
        header(keys=1) + entry("split.count", 2, b"\x03\x00"),
        "one of 3 parts; open the first, whose name ends in -00001-of-00003.gguf",
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
        r"shape \(0, 4\), which F32 can't have",
    ),
    "tensor size past 2**64": (
        with_data(header(tensors=1) + tensor(shape=(2**32, 2**32, 2**32))),
        "'w' goes past the end of the file",
    ),
    "row not a whole count of blocks": (
        with_data(header(tensors=1) + tensor(shape=(33,), kind=GGMLType.Q4_0)),
        r"shape \(33,\), which Q4_0 can't have",
    ),
    "unknown tensor type": (
        with_data(header(tensors=1) + tensor(kind=19)),
        "GGML type 19, and the types read are F32, F16",
    ),
    "offset past the end": (
        with_data(header(tensors=1) + tensor(offset=2**63)),
        "'w' goes past the end of the file",
    ),
    "data cut short": (
        with_data(header(tensors=1) + tensor(), bytes(15)),
        "'w' goes past the end of the file",
    ),
    "no data at all": (header(tensors=1) + tensor(), "'w' goes past the end of the file"),
    "offset not aligned": (
        with_data(header(tensors=1) + tensor(offset=8)),
        "'w' is not aligned to 32 bytes",
    ),
    "tensor twice": (
        with_data(header(tensors=2) + tensor() * 2),
        "the tensor 'w' is there twice",
    ),
    "absurd tensor name": (
        with_data(header(tensors=2) + tensor("x" * 100_000) * 2),
        r"'x{61}\.\.\.' is there twice",
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


def test_a_hostile_file_costs_little_memory_and_time(tmp_path: Path) -> None:
    many = 2_000_000
    array = u32(STRING) + u64(many) + bytes(8 * many - 8) + u64(HUGE)
    content = header(keys=1) + entry("k", ARRAY, array)
    before, started = peak_memory(), time.perf_counter()

    with pytest.raises(ModelFileError):
        open_bytes(tmp_path, content)

    assert peak_memory() - before < 64 * 1024 * 1024
    assert time.perf_counter() - started < 5


def peak_memory() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def test_a_header_past_the_limit_is_refused(tmp_path: Path) -> None:
    content = header(keys=1) + entry("k", STRING, string(b"x" * (33 * 1024 * 1024)))

    with pytest.raises(ModelFileError, match="32 MiB header limit leaves"):
        open_bytes(tmp_path, content)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    for path, reason in [
        (tmp_path / "absent.gguf", "No such file"),
        (tmp_path, "not a regular file"),
        (pipe, "not a regular file"),
        (Path("/dev/zero"), "not a regular file"),
    ]:
        with pytest.raises(ModelFileError, match=reason):
            GGUFFile.open(path)


@pytest.mark.model
def test_the_default_model_reads_as_with_the_gguf_package(model_path: Path) -> None:
    file = GGUFFile.open(model_path)
    reference = gguf.GGUFReader(model_path)

    for key, field in reference.fields.items():
        if not key.startswith("GGUF."):
            assert plain(file.metadata[key]) == plain(field.contents())
    assert len(file.tensors) == len(reference.tensors)
    for theirs in reference.tensors:
        ours = file.tensors[theirs.name]
        assert ours.shape == tuple(theirs.shape.tolist()[::-1])
        assert (ours.type, ours.offset) == (theirs.tensor_type, theirs.data_offset)
        assert np.array_equal(file.data(theirs.name), theirs.data.reshape(-1).view(np.uint8))


def plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


@pytest.mark.model
def test_the_default_model_opens_at_once(model_path: Path) -> None:
    started = time.perf_counter()

    GGUFFile.open(model_path)

    assert time.perf_counter() - started < 0.3
