from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import gguf
import numpy as np
import pytest
import torch
from gguf.constants import GGMLQuantizationType
from transformers import Qwen3MoeConfig
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssExperts
from transformers.models.qwen3_moe.modeling_qwen3_moe import Qwen3MoeSparseMoeBlock

from minikin.engine.model import weights
from minikin.engine.model.activation import clamped_silu, silu
from minikin.engine.model.architecture import Architecture
from minikin.engine.model.linear import Linear
from minikin.engine.model.mixture import Expert, Mixture
from minikin.engine.native.build import SETS, load_library
from minikin.engine.native.kernels import Kernels
from minikin.model_file.gguf import GGUFFile
from tests.engine.model.test_families import CPU, PROMPTS, load, logits
from tests.engine.tiny_models import FAMILIES, MIXTURES, write_gguf

EXPERTS, HIDDEN, INSIDE = 6, 16, 24
MXFP4 = GGMLQuantizationType.MXFP4


def experts(count: int) -> tuple[Expert, ...]:
    torch.manual_seed(3)
    shapes = (2 * INSIDE, HIDDEN), (HIDDEN, INSIDE)
    return tuple(
        Expert(*(Linear(torch.randn(shape) / shape[1] ** 0.5) for shape in shapes))
        for _ in range(count)
    )


@pytest.mark.parametrize("normalized", [True, False])
@torch.inference_mode()
def test_it_is_what_transformers_computes(normalized: bool) -> None:
    config = Qwen3MoeConfig(
        hidden_size=HIDDEN, moe_intermediate_size=INSIDE, num_experts=EXPERTS,
        num_experts_per_tok=2, norm_topk_prob=normalized,
    )  # fmt: skip
    reference = Qwen3MoeSparseMoeBlock(config)
    for parameter in reference.parameters():
        parameter.normal_(0, 0.3)
    both = zip(reference.experts.gate_up_proj, reference.experts.down_proj, strict=True)
    mixture = Mixture(
        router=Linear(reference.gate.weight),
        experts=tuple(Expert(Linear(gate_up), Linear(down)) for gate_up, down in both),
        used=2,
        normalized=normalized,
    )
    x = torch.randn(20, HIDDEN)

    assert (mixture(x, silu) - reference(x[None])[0]).abs().max() < 1e-5


@torch.inference_mode()
def test_a_row_is_the_same_alone_and_among_others() -> None:
    mixture = Mixture(router=Linear(torch.randn(EXPERTS, HIDDEN)), experts=experts(EXPERTS), used=3)
    x = torch.randn(9, HIDDEN)

    alone = torch.cat([mixture(row[None], silu) for row in x])

    assert torch.allclose(mixture(x, silu), alone, atol=1e-6)


@torch.inference_mode()
def test_experts_that_no_row_has_chosen_are_not_touched() -> None:
    scores = torch.tensor([0.0, 9, 0, 0, 8, 0])
    untouchable = Expert(Linear(), Linear())  # has nothing to multiply with
    mixture = Mixture(
        router=Linear(torch.zeros(EXPERTS, HIDDEN), scores),
        experts=tuple(
            expert if at in (1, 4) else untouchable for at, expert in enumerate(experts(EXPERTS))
        ),
        used=2,
    )

    assert mixture(torch.randn(5, HIDDEN), silu).shape == (5, HIDDEN)


def test_the_clamped_gate_is_that_of_gpt_oss() -> None:
    gate, up = torch.randn(2, 50, 8) * 12
    interleaved = torch.stack([gate, up], dim=-1).flatten(1)
    reference = GptOssExperts._apply_gate(SimpleNamespace(alpha=1.702, limit=7.0), interleaved)

    assert torch.allclose(clamped_silu(torch.cat([gate, up], dim=1)), reference)


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


class Kept:
    """A matrix as the native kernels would have it, multiplied by PyTorch."""

    fits = staticmethod(lambda outputs, width: outputs > 0 and width % 32 == 0)

    def __init__(self, kernels, blocks, *, gated):
        assert blocks.bits == 8
        levels = blocks.levels.view(len(blocks.levels), -1, 32).float()
        scale, minimum = blocks.scale.float(), blocks.minimum.float()
        self._dense = (levels * scale[..., None] + minimum[..., None]).flatten(1)

    def product(self, x):
        return x.float() @ self._dense.T

    def rows(self, which):
        return self._dense[which]


def test_packed_experts_are_never_unpacked(tmp_path, monkeypatch) -> None:
    tiny = FAMILIES["gpt-oss"]
    write_gguf(tiny, tiny.make(), path := tmp_path / "model.gguf", MXFP4)
    engine = load(path)
    expected = logits(engine, PROMPTS[0], 13)
    monkeypatch.setattr(weights, "PackedMatrix", Kept)
    unpacked = watch_dequantize(monkeypatch)

    file, architecture = GGUFFile.open(path), engine.decoder.architecture
    engine.decoder.weights = weights.load_weights(
        file, architecture, dtype=torch.float32, device=CPU, kernels=object()
    )

    assert set(unpacked) == {architecture.hidden * architecture.experts.count}, "routers only"
    for layer in engine.decoder.weights.layers:
        assert all(e.gate_up.packed and e.down.packed for e in layer.mixture.experts)
    assert (logits(engine, PROMPTS[0], 13) - expected).abs().max() < 1e-4


def as_mxfp4(x: np.ndarray) -> np.ndarray:
    # A router, and the experts' biases, have a row for each of the eight.
    exact = x.ndim == 1 or (x.ndim == 2 and len(x) == 8)
    return x if exact else gguf.dequantize(gguf.quants.MXFP4.quantize(x), MXFP4)


def watch_dequantize(monkeypatch) -> list[int]:
    sizes: list[int] = []
    dequantize = weights.dequantize

    def watched(*args):
        values = dequantize(*args)
        sizes.append(values.size)
        return values

    monkeypatch.setattr(weights, "dequantize", watched)
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


@pytest.mark.parametrize("most", SETS)
@pytest.mark.parametrize("kind", [GGMLQuantizationType.Q8_0, GGMLQuantizationType.Q4_0])
@torch.inference_mode()
def test_each_kernel_set_computes_what_pytorch_does(tmp_path, most, kind):
    library = load_library(most)
    if library is None:
        pytest.skip("no gcc here")
    for family in MIXTURES:
        tiny = FAMILIES[family]
        tiny = replace(tiny, config=tiny.config | {"head_dim": 64}, metadata=dict(tiny.metadata))
        write_gguf(tiny, tiny.make(), path := tmp_path / f"{family}.gguf", kind)
        native, plain = load(path, Kernels(library, 2)), load(path)
        assert native.decoder.native
        for size in (len(PROMPTS[0]), 13, 1):
            expected, found = (logits(one, PROMPTS[0], size) for one in (plain, native))
            # A near tie of two experts may go to the other one, and changes that row.
            change = (found - expected).norm(dim=1) / expected.norm(dim=1)
            assert change.median() < 4e-2, (family, size)
