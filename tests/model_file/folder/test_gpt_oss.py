from __future__ import annotations

import json

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from minikin.errors import ModelFileError
from minikin.model_file.dequantize import dequantize
from minikin.model_file.gguf import GGMLType
from minikin.model_file.model_file import open_model_file
from tests.engine.tiny_folders import write_folder
from tests.engine.tiny_models import FAMILIES


def read(path, name):
    file = open_model_file(path)
    info = file.tensors[name]
    return dequantize(file.data(name), info.type, info.shape), info.type


def quantize(path):
    """Put random experts in MXFP4, as OpenAI published them. Returns their values, [out, in]."""
    chance, values = np.random.default_rng(0), {}
    levels = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6])
    tensors = load_file(path / "model.safetensors")
    for name in [n for n in tensors if n.endswith(("gate_up_proj", "down_proj"))]:
        count, inputs, outputs = tensors.pop(name).shape
        blocks = chance.integers(0, 256, (count, outputs, inputs // 32, 16), dtype=np.uint8)
        scales = chance.integers(118, 124, blocks.shape[:3], dtype=np.uint8)
        made = np.empty((count, outputs, inputs // 32, 32))
        made[..., 0::2], made[..., 1::2] = levels[blocks & 15], levels[blocks >> 4]
        made *= 2.0 ** (scales.astype(int) - 127)[..., None]
        values[name] = made.reshape(count, outputs, inputs)
        tensors |= {
            f"{name}_blocks": torch.from_numpy(blocks), f"{name}_scales": torch.from_numpy(scales)
        }  # fmt: skip
    save_file(tensors, path / "model.safetensors")
    stated = json.loads((path / "config.json").read_text())
    stated["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}
    (path / "config.json").write_text(json.dumps(stated))
    return values


def test_published_experts_stay_in_mxfp4(tmp_path):
    write_folder(FAMILIES["gpt-oss"].make(), tmp_path)
    values = quantize(tmp_path)
    assert open_model_file(tmp_path).quantization == "MXFP4"
    for layer in (0, 3):
        experts = f"model.layers.{layer}.mlp.experts"
        both, down = values[f"{experts}.gate_up_proj"], values[f"{experts}.down_proj"]
        expected = {"gate": both[:, ::2], "up": both[:, 1::2], "down": down}
        for name, theirs in expected.items():
            ours, kind = read(tmp_path, f"blk.{layer}.ffn_{name}_exps.weight")
            assert kind == GGMLType.MXFP4 == gguf.GGMLQuantizationType.MXFP4
            assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, n: t.pop(f"{n}_scales"), "has no scales"),
        (lambda t, n: t.update({f"{n}_scales": t[f"{n}_scales"][1:]}), "unexpected type or shape"),
        (lambda t, n: t.update({f"{n}_blocks": t[f"{n}_blocks"][0]}), "unexpected type or shape"),
        (lambda t, n: t.update({f"{n}_blocks": t[f"{n}_blocks"].int()}), "unexpected type"),
    ],
)
def test_parts_that_do_not_fit_are_refused(tmp_path, change, message):
    write_folder(FAMILIES["gpt-oss"].make(), tmp_path)
    quantize(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    change(tensors, "model.layers.1.mlp.experts.down_proj")
    save_file({k: v.contiguous() for k, v in tensors.items()}, tmp_path / "model.safetensors")
    with pytest.raises(ModelFileError, match=message):
        open_model_file(tmp_path)
