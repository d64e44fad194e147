from __future__ import annotations

from dataclasses import replace

import gguf
import pytest
import torch
from gguf.constants import GGMLQuantizationType

from minikin.engine.native.build import load_library
from minikin.engine.native.kernels import Kernels
from minikin.model_file.dequantize import LAYOUTS
from minikin.model_file.gguf import GGMLType
from tests.engine.model.test_families import PROMPTS, load, logits
from tests.engine.native.samples import packed_rows
from tests.engine.tiny_gguf import write_gguf
from tests.engine.tiny_models import FAMILIES

LLAMA = replace(
    FAMILIES["Llama 2"],
    config={"hidden_size": 256, "intermediate_size": 256, "num_hidden_layers": 2, "head_dim": 64},
)
WITHOUT_REFERENCE = {GGMLType.Q1_0}
"""Types that the gguf package cannot read."""
KINDS = [kind for kind in GGMLType if kind not in WITHOUT_REFERENCE and kind.block_size > 1]
GROUPS_OF_16 = {
    GGMLType.Q2_K, GGMLType.Q6_K, GGMLType.IQ2_XS, GGMLType.IQ2_S, GGMLType.NVFP4,
}  # fmt: skip


@pytest.mark.skipif(load_library() is None, reason="no gcc here")
@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_a_model_of_each_type_computes_what_its_values_say(tmp_path, monkeypatch, kind):
    model = LLAMA.make()

    quantize = gguf.quantize

    def pack(values, _):
        """Some random blocks in place of each matrix, which becomes what they say."""
        if values.ndim == 1:
            return values
        rows = packed_rows(kind, *values.shape)
        blocks = rows.view(LAYOUTS[kind])
        spread = gguf.dequantize(rows, GGMLQuantizationType(kind)).std()
        for scale in {"d", "m"} & set(blocks.dtype.names or ()):
            blocks[scale] = blocks[scale] * (values.std() / spread)
        return rows

    monkeypatch.setattr(gguf, "quantize", pack)
    write_gguf(LLAMA, model, path := tmp_path / "model.gguf", GGMLQuantizationType(kind))
    monkeypatch.setattr(gguf, "quantize", quantize)
    values = {
        tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type)
        for tensor in gguf.GGUFReader(path).tensors
    }
    write_gguf(LLAMA, model, plain := tmp_path / "plain.gguf")
    for name, exact in values.items():
        same_place(plain, name)[:] = exact.reshape(-1)

    expected = logits(load(plain), PROMPTS[0], 50)
    found = logits(load(path, Kernels(load_library(), 1)), PROMPTS[0], 50)

    most = 3e-2 if kind in GROUPS_OF_16 else 1.5e-2
    assert (found - expected).norm() / expected.norm() < most
    assert (logits(load(path), PROMPTS[0], 50) - expected).abs().max() < 1e-3


def same_place(path, name):
    """The numbers of a tensor of a file, to be written there."""
    tensor = next(one for one in gguf.GGUFReader(path, "r+").tensors if one.name == name)
    return tensor.data.reshape(-1)
