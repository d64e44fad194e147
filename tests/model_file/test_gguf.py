from __future__ import annotations

import os
import resource
import struct
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from minikin.errors import ModelFileError
from minikin.model_file.gguf import GGMLType, GGUFFile, TensorInfo
from tests.model_file.gguf_bytes import (
    UINT32,
    entry,
    header,
    open_bytes,
    tensor,
    u32,
    with_data,
)


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

    with pytest.raises(ModelFileError, match="became shorter"):
        file.data("first")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_released_tensors_take_no_memory(tmp_path: Path) -> None:
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
    with pytest.raises(ModelFileError, match="Open the first part"):
        GGUFFile.open(second)
    second.rename(tmp_path / "big-00003-of-00003.gguf")
    write_parts(tmp_path, [1])
    with pytest.raises(ModelFileError, match=r"big-00003-of-00003\.gguf is not a part of it"):
        GGUFFile.open(first)


def test_parts_that_share_or_lack_a_tensor_are_refused(tmp_path: Path) -> None:
    first, second = write_parts(tmp_path, [0, 1], count=2)
    content = second.read_bytes()

    second.write_bytes(content.replace(b"w1", b"w0"))
    with pytest.raises(ModelFileError, match="has a tensor that another part also has"):
        GGUFFile.open(first)
    second.write_bytes(content)
    lying = first.read_bytes().replace(struct.pack("<Ii", 5, 2), struct.pack("<Ii", 5, 7))
    first.write_bytes(lying)
    with pytest.raises(ModelFileError, match="its parts have 2 tensors, but its header"):
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


def test_a_path_that_is_not_a_file_is_rejected(tmp_path: Path) -> None:
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
