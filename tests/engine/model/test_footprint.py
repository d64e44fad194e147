from __future__ import annotations

import re
from math import prod
from pathlib import Path
from types import SimpleNamespace

import gguf
import numpy as np
import pytest
from gguf.constants import GGMLQuantizationType

from minikin.engine.model import footprint as module
from minikin.engine.model.architecture import Architecture
from minikin.engine.model.footprint import footprint
from minikin.model_file.gguf import GGMLType, GGUFFile
from minikin.model_file.model_file import open_model_file
from tests.engine.tiny_gguf import write_gguf
from tests.engine.tiny_models import FAMILIES
from tests.real_model import default_model, real_server


@pytest.fixture
def machine(monkeypatch):
    """A machine of the test's own choice."""

    def choose(*, kernels, bfloat16=True):
        monkeypatch.setattr(module, "expects_kernels", lambda: kernels)
        monkeypatch.setattr(module, "has_bfloat16", lambda: bfloat16)

    return choose


@pytest.mark.model
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_memory_of_the_default_model_is_what_a_server_takes():
    memory = footprint(open_model_file(default_model()))
    with real_server() as server:
        taken = sum(resident(process) for process in (server.process.pid, server.engine_pid()))
    assert taken < memory < 2 * taken


def resident(process: int | str) -> int:
    """Bytes, at most so far."""
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    assert peak is not None
    return int(peak[1]) * 1024


def test_stacked_experts_count_whole_and_as_they_are_kept(tmp_path, machine):
    tiny = FAMILIES["gpt-oss"]
    write_gguf(tiny, tiny.make(), path := tmp_path / "model.gguf", GGMLQuantizationType.MXFP4)
    file = GGUFFile.open(path)
    tensors = [tensor for tensor in file.tensors.values() if tensor.type == GGMLType.MXFP4]
    packed = sum(prod(tensor.shape) for tensor in tensors)
    memory = {}
    for kernels in (True, False):
        machine(kernels=kernels)
        memory[kernels] = footprint(file)
    assert memory[False] - memory[True] == pytest.approx(packed * (2 - 1.125), abs=2)


@pytest.mark.parametrize(("bfloat16", "bytes_each"), [(True, 2), (False, 4)])
def test_dense_weights_take_what_the_processor_computes_with(
    tmp_path, machine, bfloat16, bytes_each
):
    machine(kernels=False, bfloat16=bfloat16)
    path = made(tmp_path, np.zeros((1000, 64), dtype=np.float32))
    assert footprint(open_model_file(path)) == module.BASE_BYTES + bytes_each * 64_000


@pytest.mark.parametrize(
    ("kind", "bytes_each"), [("Q4_K", 0.625), ("Q6_K", 1.125), ("Q8_0", 1.125), ("BF16", 2)]
)
def test_packed_weights_take_their_levels_and_scales(tmp_path, machine, kind, bytes_each):
    machine(kernels=True)
    kind = GGMLQuantizationType[kind]
    shape = gguf.quant_shape_to_byte_shape((1000, 256), kind)
    path = made(tmp_path, np.zeros(shape, dtype=np.uint8), kind)
    assert footprint(open_model_file(path)) == module.BASE_BYTES + bytes_each * 256_000


def made(folder, data, kind=None):
    """A model of one tensor, without layers."""
    writer = gguf.GGUFWriter(folder / "model.gguf", "llama")
    writer.add_tensor("token_embd.weight", data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder / "model.gguf"


@pytest.mark.parametrize(
    "family",
    [
        "LFM2",
        "Qwen3.5",
        "Qwen3-Next",
        "Granite 4 Hybrid",
        "Falcon-H1",
        "Nemotron Nano 9B v2",
        "Nemotron 3 Nano",
        "Qwen3",
        "Gemma 4",
        "DeepSeek-V2-Lite",
        "GLM-4.7-Flash",
    ],
)
def test_keys_values_and_states_of_each_layer_count(tmp_path, machine, family):
    tiny = FAMILIES[family]
    write_gguf(tiny, tiny.make(), path := tmp_path / "model.gguf")
    machine(kernels=True)
    file = GGUFFile.open(path)
    a = Architecture.read(file)
    weights = 2 * sum(prod(tensor.shape) for tensor in file.tensors.values())
    kept = 2 * a.key_values * a.context_length + 4 * module.STATES * a.state_size
    assert footprint(file) == module.BASE_BYTES + weights + kept


@pytest.mark.parametrize("heads", [["a"], [], [-1, 2**40], [1.5], {}])
def test_odd_key_heads_are_an_estimate_without_them(tmp_path, heads):
    tiny = FAMILIES["LFM2"]
    write_gguf(tiny, tiny.make(), path := tmp_path / "model.gguf")
    file = GGUFFile.open(path)
    odd = SimpleNamespace(
        metadata=file.metadata | {"lfm2.attention.head_count_kv": heads}, tensors=file.tensors
    )
    assert footprint(odd) > module.BASE_BYTES
