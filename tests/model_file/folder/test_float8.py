from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from minikin.errors import ModelFileError
from minikin.model_file.dequantize import dequantize
from minikin.model_file.model_file import open_model_file
from tests.engine.tiny_folders import write_folder
from tests.engine.tiny_models import FAMILIES


def compressed(strategy, **weights):
    weights = {"num_bits": 8, "type": "float", "strategy": strategy} | weights
    groups = {"group_0": {"weights": weights, "targets": ["Linear"]}}
    return {
        "quant_method": "compressed-tensors", "format": "float-quantized",
        "config_groups": groups, "ignore": ["lm_head"],
    }  # fmt: skip


SQUARES = {"quant_method": "fp8", "weight_block_size": [32, 48], "activation_scheme": "dynamic"}
CASES = {
    "fp8": (SQUARES, (32, 48), "weight_scale_inv", torch.float32),
    "channels": (compressed("channel"), (1, None), "weight_scale", torch.bfloat16),
    "tensor": (compressed("tensor"), (None, None), "weight_scale", torch.float32),
    "squares": (
        compressed("block", block_structure=[32, 48]), (32, 48), "weight_scale", torch.float16,
    ),
}  # fmt: skip


def quantize(path, config, square, suffix, dtype):
    """Put 8-bit floats in place of a folder's linear matrices. Returns their values."""
    tensors, values = load_file(path / "model.safetensors"), {}
    for name in [n for n in tensors if n.endswith("_proj.weight")]:
        outputs, inputs = tensors[name].shape
        high, wide = square[0] or outputs, square[1] or inputs
        counts = -(-outputs // high), -(-inputs // wide)
        scale = (0.5 + torch.rand(counts)).mul(1e-2).to(dtype)
        weight = (tensors[name] / 1e-2).to(torch.float8_e4m3fn)
        whole = scale.float().repeat_interleave(high, 0).repeat_interleave(wide, 1)
        values[name] = (weight.float() * whole[:outputs, :inputs]).numpy()
        tensors[name] = weight
        scale = scale.reshape(-1) if square == (None, None) else scale
        tensors[f"{name.removesuffix('weight')}{suffix}"] = scale
        if suffix == "weight_scale":
            tensors[f"{name.removesuffix('weight')}input_scale"] = torch.ones(1)
    save_file(tensors, path / "model.safetensors")
    state(path, config)
    return values


def state(path, config):
    stated = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(stated | {"quantization_config": config}))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("family", ["Llama 3.1", "Qwen3-MoE"])
def test_a_folder_gives_the_matrices_that_its_floats_stand_for(tmp_path, family, case):
    torch.manual_seed(1)
    model = FAMILIES[family].make()
    write_folder(model, tmp_path)
    values = quantize(tmp_path, *case)
    file = open_model_file(tmp_path)
    assert file.quantization == "FP8"
    (expected := tmp_path / "expected").mkdir()
    write_folder(model, expected)
    tensors = load_file(expected / "model.safetensors")
    tensors |= {name: torch.from_numpy(value) for name, value in values.items()}
    save_file(tensors, expected / "model.safetensors")
    whole = open_model_file(expected)
    assert file.tensors.keys() == whole.tensors.keys()
    for name, info in file.tensors.items():
        ours = dequantize(file.data(name), info.type, info.shape)
        theirs = dequantize(whole.data(name), whole.tensors[name].type, info.shape)
        assert np.array_equal(ours, theirs), name


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (SQUARES | {"fmt": "e5m2"}, "fmt can't be 'e5m2'"),
        (SQUARES | {"weight_block_size": [0, 1]}, "weight_block_size can't be"),
        (SQUARES | {"weight_block_size": [64, 48]}, "weight_scale' has an unexpected"),
        (compressed("channel", num_bits=4), "num_bits can't be 4"),
        (compressed("group"), "strategy can't be 'group'"),
        (compressed("block"), "lacks the field .*block_structure"),
        (compressed("channel") | {"format": "pack-quantized"}, "format can't be"),
        (compressed("channel") | {"config_groups": {}}, "config_groups can't be"),
    ],
)
def test_other_forms_are_refused_by_name(tmp_path, config, message):
    write_folder(FAMILIES["Llama 3.1"].make(), tmp_path)
    quantize(tmp_path, *CASES["fp8"])
    state(tmp_path, config)
    with pytest.raises(ModelFileError, match=message):
        open_model_file(tmp_path)


def test_a_matrix_without_a_scale_is_refused(tmp_path):
    write_folder(FAMILIES["Llama 3.1"].make(), tmp_path)
    quantize(tmp_path, SQUARES, (32, 48), "other", torch.float32)
    with pytest.raises(ModelFileError, match="has no scale"):
        open_model_file(tmp_path)


def test_every_byte_has_its_value():
    from minikin.model_file.folder.float8 import _VALUES

    theirs = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn).float().numpy()
    assert np.array_equal(_VALUES, theirs, equal_nan=True)
