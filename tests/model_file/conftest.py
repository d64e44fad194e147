from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest


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
