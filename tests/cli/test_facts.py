from __future__ import annotations

import re
from math import prod
from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf.constants import GGMLQuantizationType

from minikin.cli.facts import machine_memory, read_facts
from minikin.model_file.gguf import GGMLType, GGUFFile
from tests.engine.tiny_folders import write_folder
from tests.engine.tiny_models import FAMILIES, write_gguf
from tests.real_model import default_model, real_server


@pytest.mark.model
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_memory_of_the_default_model_is_what_a_server_takes():
    facts = read_facts(default_model())
    with real_server() as server:
        taken = sum(resident(process) for process in (server.process.pid, server.engine_pid()))
    assert (facts.family, facts.quantization, facts.context_length) == ("llama", "Q4_1", 8192)
    assert 134_000_000 < facts.parameters < 136_000_000
    assert taken < facts.memory < 2 * taken


def test_stacked_experts_count_whole_and_as_they_are_kept(tmp_path, monkeypatch):
    tiny = FAMILIES["gpt-oss"]
    model = tiny.make()
    write_gguf(tiny, model, path := tmp_path / "model.gguf", GGMLQuantizationType.MXFP4)
    tensors = GGUFFile.open(path).tensors.values()
    packed = sum(prod(tensor.shape) for tensor in tensors if tensor.type == GGMLType.MXFP4)
    assert packed > model.num_parameters() * 0.9
    memory = {}
    monkeypatch.setattr("minikin.cli.facts.has_bfloat16", lambda: True)
    for kernels in (None, object()):
        monkeypatch.setattr("minikin.cli.facts.load_library", lambda kernels=kernels: kernels)
        facts = read_facts(path)
        memory[bool(kernels)] = facts.memory
        assert facts.quantization == "MXFP4"
        assert facts.parameters == model.num_parameters()
    assert memory[False] - memory[True] == pytest.approx(packed * (2 - 1.125), abs=2)


def test_a_folder_says_the_same_as_a_file(tmp_path):
    tiny = FAMILIES["Qwen3"]
    model = tiny.make()
    write_gguf(tiny, model, tmp_path / "model.gguf")
    assert read_facts(write_folder(model, tmp_path / "folder")) == read_facts(
        tmp_path / "model.gguf"
    )


def resident(process: int | str) -> int:
    """Bytes, at most so far."""
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    assert peak is not None
    return int(peak[1]) * 1024


def test_machine_memory():
    assert 100_000_000 < machine_memory() < 10**14


@pytest.mark.parametrize(("bfloat16", "bytes_each"), [(True, 2), (False, 4)])
def test_dense_weights_take_what_the_processor_computes_with(
    tmp_path, monkeypatch, bfloat16, bytes_each
):
    monkeypatch.setattr("minikin.cli.facts.has_bfloat16", lambda: bfloat16)
    monkeypatch.setattr("minikin.cli.facts.load_library", lambda: None)
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.add_tensor("token_embd.weight", np.zeros((1000, 64), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert read_facts(tmp_path / "model.gguf").memory == 450_000_000 + bytes_each * 64_000
