from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from minikin.errors import ModelFileError
from minikin.model_file.folder.shard import Shard


def written(path, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def entry(begin=0, end=8, shape=(2,), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def test_files_of_the_safetensors_package_are_read(tmp_path):
    tensors = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.arange(5, dtype=np.float16),
        "c": np.array(3, dtype=np.int64),
    }
    save_file(tensors, tmp_path / "x.safetensors", metadata={"format": "pt"})
    shard = Shard(tmp_path / "x.safetensors")
    assert {name: stored.shape for name, stored in shard.tensors.items()} == {
        "a": (2, 3), "b": (5,), "c": (),
    }  # fmt: skip
    for name, tensor in tensors.items():
        assert shard.tensor(name).tobytes() == tensor.tobytes()


@pytest.mark.parametrize(
    ("header", "data", "reason"),
    [
        ({"a": entry()}, b"1234567", "a' extends past the end"),
        ({"a": entry(0, 2**63)}, b"12345678", "has the invalid offsets"),
        ({"a": entry(0, 2**50, (2**48,))}, b"12345678", "extends past the end"),
        ({"a": entry(shape=(2**40, 2**40))}, b"12345678", "not have the bytes that its shape"),
        ({"a": entry(shape=(-2,))}, b"12345678", "has the invalid shape"),
        ({"a": entry(shape=(2.0,))}, b"12345678", "has the invalid shape"),
        ({"a": entry(shape=(True, 2))}, b"12345678", "has the invalid shape"),
        ({"a": entry(shape=(1,) * 8 + (2,))}, b"12345678", "has the invalid shape"),
        ({"a": entry(dtype="F4")}, b"12345678", "has the unknown type 'F4'"),
        ({"a": entry(dtype=["F32"])}, b"12345678", "has the unknown type"),
        ({"a": entry(8, 0)}, b"12345678", "not have the bytes"),
        ({"a": entry(), "b": entry()}, b"12345678", "b' overlaps another"),
        ({"a": entry(), "b": entry(4, 12)}, b"1234567890AB", "b' overlaps another"),
        ({"a": entry(4, 12)}, b"1234567890AB", "a' leaves a gap"),
        ({"a": entry()}, b"1234567890AB", "4 bytes at its end belong to no tensor"),
        ({"a": {"dtype": "F32", "shape": [2]}}, b"12345678", "has no dtype, shape and data_off"),
        ({"a": 7}, b"", "has no dtype, shape and data_offsets"),
        ([1], b"", "its JSON is not an object"),
        (b"{", b"", "it is not valid JSON"),
        (b'{"a":NaN}', b"", "it is not valid JSON"),
        (b'{"\xff":1}', b"", "it is not valid JSON"),
        (b'{"a":' + b"[" * 100_000, b"", "nested too deeply"),
        (b'{"a":[' + b"[]," * 4_000_000 + b"1]}", b"", "more than 3000000 values"),
        (
            b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
            b'"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}',
            b"12345678", "'a' occurs twice",
        ),
    ],
)  # fmt: skip
def test_a_broken_file_is_rejected_with_one_line(tmp_path, header, data, reason):
    path = written(tmp_path / "x.safetensors", header, data)
    with pytest.raises(ModelFileError, match=reason) as error:
        Shard(path)
    assert error.value.message.isprintable()
    assert len(error.value.message) < 500


@pytest.mark.parametrize("data", [b"", b"1234567", b"\xff" * 8, b"\0\0\0\0\0\0\0\x80{}"])
def test_a_length_beyond_the_file_is_rejected(tmp_path, data):
    (tmp_path / "x.safetensors").write_bytes(data)
    with pytest.raises(ModelFileError, match=r"is empty|header extends past its end"):
        Shard(tmp_path / "x.safetensors")


def test_a_huge_header_is_refused_unread(tmp_path):
    with (tmp_path / "x.safetensors").open("wb") as file:
        file.write((2**30).to_bytes(8, "little"))
        file.truncate(2**31)
    with pytest.raises(ModelFileError, match="its header has 1073741824 bytes"):
        Shard(tmp_path / "x.safetensors")
