from __future__ import annotations

from dataclasses import replace

import gguf
import numpy as np
import pytest
import torch
from gguf.constants import GGMLQuantizationType

from minikin.engine.model import matrix, weights
from minikin.engine.model.architecture import Architecture
from minikin.engine.native.build import load_library
from minikin.engine.native.kernels import Kernels
from minikin.engine.native.variants import SETS
from minikin.model_file.dequantize import dequantize
from minikin.model_file.gguf import GGUFFile
from tests.engine.kernel_sets import library_of
from tests.engine.model.test_families import PROMPTS, comparable, load, logits
from tests.engine.tiny_gguf import write_gguf
from tests.engine.tiny_models import FAMILIES, MIXTURES, OWN_HEADS
from tests.thorough import mostly_thorough

MXFP4 = GGMLQuantizationType.MXFP4


def test_mxfp4_experts_give_the_logits_of_their_numbers(tmp_path, monkeypatch) -> None:
    """Unpacked one by one, though all are in one tensor."""
    tiny = FAMILIES["gpt-oss"]
    model = tiny.make()
    packed, plain = tmp_path / "packed.gguf", tmp_path / "plain.gguf"
    write_gguf(tiny, model, packed, MXFP4)
    quantize = gguf.quantize
    monkeypatch.setattr(gguf, "quantize", lambda x, kind: quantize(as_mxfp4(x), kind))
    write_gguf(tiny, model, plain)
    largest = watch_dequantize(monkeypatch)

    found = logits(load(packed), PROMPTS[0], 13)

    architecture = Architecture.read(GGUFFile.open(packed))
    assert max(largest) <= architecture.vocab_size * architecture.hidden
    assert torch.equal(found, logits(load(plain), PROMPTS[0], 13))


@pytest.mark.skipif(load_library() is None, reason="no gcc here")
def test_packed_experts_are_never_unpacked(tmp_path, monkeypatch) -> None:
    tiny = FAMILIES["gpt-oss"]
    tiny = replace(tiny, config=tiny.config | {"head_dim": 64}, metadata=dict(tiny.metadata))
    write_gguf(tiny, tiny.make(), path := tmp_path / "model.gguf", MXFP4)
    unpacked = watch_dequantize(monkeypatch)

    a = load(path, Kernels(load_library(), 1)).decoder.architecture

    assert a.experts is not None
    assert set(unpacked) == {a.hidden * a.experts.count}, "routers only"


def as_mxfp4(x: np.ndarray) -> np.ndarray:
    # A router, and the experts' biases, have a row for each of the eight.
    exact = x.ndim == 1 or (x.ndim == 2 and len(x) == 8)
    return x if exact else gguf.dequantize(gguf.quants.MXFP4.quantize(x), MXFP4)


def watch_dequantize(monkeypatch) -> list[int]:
    sizes: list[int] = []

    def watched(*args):
        values = dequantize(*args)
        sizes.append(values.size)
        return values

    for module in (matrix, weights):
        monkeypatch.setattr(module, "dequantize", watched)
    return sizes


@pytest.mark.parametrize("family", ["Mixtral", "gpt-oss"])
def test_gates_may_be_in_one_tensor_with_what_they_gate(tmp_path, monkeypatch, family) -> None:
    tiny = FAMILIES[family]
    model = tiny.make()
    write_gguf(tiny, model, apart := tmp_path / "apart.gguf")
    fuse(monkeypatch)
    write_gguf(tiny, model, fused := tmp_path / "fused.gguf")

    assert "blk.0.ffn_gate_up_exps.weight" in GGUFFile.open(fused).tensors
    found, expected = (logits(load(path), PROMPTS[0], 13) for path in (fused, apart))
    assert torch.equal(found, expected)


def fuse(monkeypatch) -> None:
    """Write gates and what they gate as newer converters may."""
    add = gguf.GGUFWriter.add_tensor
    gates = {}

    def fused(writer, name, values, **options):
        if "ffn_gate_exps" in name:
            gates[name.replace("gate", "up")] = values
            return
        if name in gates:
            values = np.concatenate([gates.pop(name), values], axis=1)
            name = name.replace("up", "gate_up")
        add(writer, name, values, **options)

    monkeypatch.setattr(gguf.GGUFWriter, "add_tensor", fused)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(GGMLQuantizationType.Q8_0, marks=pytest.mark.thorough),
        GGMLQuantizationType.Q4_0,
    ],
)
@torch.inference_mode()
def mixtures(request, tmp_path_factory):
    """For each family, a file and what PyTorch computes of it, for each number of rows."""
    folder, found = tmp_path_factory.mktemp("mixtures"), {}
    for family in MIXTURES:
        tiny = FAMILIES[family]
        if family not in OWN_HEADS:
            tiny = replace(tiny, config=tiny.config | {"head_dim": 64})
        write_gguf(tiny, tiny.make(), path := folder / f"{family}.gguf", request.param)
        plain, (_, sizes) = load(path), comparable(family)
        found[family] = path, {size: logits(plain, PROMPTS[0], size) for size in sizes}
    return found


@pytest.mark.parametrize("instructions", mostly_thorough(SETS, SETS[0]))
@torch.inference_mode()
def test_each_kernel_set_computes_what_pytorch_does(mixtures, instructions):
    library = library_of(instructions)
    for family, (path, rows) in mixtures.items():
        native = load(path, Kernels(library, 2))
        assert native.decoder.native
        role, _ = comparable(family)
        for size, expected in rows.items():
            found = logits(native, PROMPTS[0], size, role)
            # A near tie of two experts may go to the other one, and changes that row.
            change = (found - expected).norm(dim=1) / expected.norm(dim=1)
            assert change.median() < 4e-2, (family, size)
