from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from minikin.engine.native.quantized import Blocks
from minikin.errors import ModelFileError
from minikin.model_file.dequantize import dequantize
from minikin.model_file.folder.config import ConfigFields
from minikin.model_file.folder.int4 import Int4
from minikin.model_file.folder.shard import Stored
from minikin.model_file.gguf import GGMLType
from minikin.model_file.model_file import open_model_file
from tests.engine.tiny_folders import write_folder
from tests.engine.tiny_models import FAMILIES
from tests.model_file.folder.quantized import Quantized, quantize_folder, with_values

AWQ = {"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm", "zero_point": True}
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": False, "desc_act": False}
DTYPES = {"int32": "I32", "float16": "F16"}


def read(config, parts):
    """A matrix as the engine sees it: its blocks in Q4_1, [out, bytes a row]."""
    method = Int4.read(ConfigFields({"quantization_config": config}))
    stored = {
        suffix: Stored(DTYPES[part.dtype.name], part.shape, 0, part.nbytes)
        for suffix, part in parts.items()
    }
    shape = method.shape(stored, "m")
    data = method.blocks(stored, lambda suffix: parts[suffix].view(np.uint8).ravel(), shape, "m")
    return data.reshape(shape[0], -1)


@pytest.mark.parametrize(
    ("config", "offset"),
    [(AWQ, 0), (GPTQ, 1), (GPTQ | {"checkpoint_format": "gptq_v2"}, 0)],
    ids=["awq", "gptq", "gptq_v2"],
)
@pytest.mark.parametrize("group", [32, 64, 128, -1])
@pytest.mark.parametrize("symmetric", [False, True])
def test_levels_are_kept_and_values_but_for_half_rounding(config, offset, group, symmetric):
    matrix = Quantized(256, 24, 256 if group == -1 else group, symmetric)
    parts = matrix.awq() if config is AWQ else matrix.gptq(offset)
    rows = read(config | {"group_size": group}, parts)
    blocks = Blocks.stack([(rows, GGMLType.Q4_1)])
    assert blocks.bits == 4
    assert np.array_equal(blocks.levels, matrix.levels.T)
    scales = np.repeat(matrix.scales.T, 256 // matrix.scales.shape[0] // 32, axis=1)
    assert np.array_equal(blocks.scale, scales)
    values = dequantize(rows.ravel(), GGMLType.Q4_1, (24, 256))
    change = np.abs(values - matrix.values()).max()
    # 2^-11 of the largest minimum there can be; with zeros that are powers of two nothing changes.
    assert change < (1e-7 if symmetric else 15 * 0.05 * 2**-11)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (AWQ | {"quant_method": "bitsandbytes"}, "'bitsandbytes'. Supported: awq, gptq"),
        (AWQ | {"quant_method": 7}, "quant_method can't be 7"),
        (AWQ | {"bits": 3}, "quantization_config.bits can't be 3"),
        (AWQ | {"bits": None, "w_bit": 8}, "w_bit can't be 8"),
        (AWQ | {"group_size": 48}, "group_size can't be 48"),
        (AWQ | {"group_size": 0}, "group_size can't be 0"),
        (AWQ | {"group_size": "x"}, "group_size can't be 'x'"),
        (AWQ | {"version": "gemv"}, "version can't be 'gemv'"),
        (AWQ | {"zero_point": False}, "zero_point can't be False"),
        (GPTQ | {"checkpoint_format": "marlin"}, "checkpoint_format can't be 'marlin'"),
        (GPTQ | {"dynamic": {"+:x": {"bits": 8}}}, "dynamic can't be"),
        (GPTQ | {"pack_dtype": "int8"}, "pack_dtype can't be"),
        (GPTQ | {"is_marlin_format": True}, "is_marlin_format can't be True"),
    ],
)
def test_an_unsupported_method_is_rejected_by_name(config, reason):
    with pytest.raises(ModelFileError, match=reason):
        Int4.read(ConfigFields({"quantization_config": config}))


def test_inputs_in_an_order_of_their_own_are_refused():
    parts = Quantized(64, 8, 32).gptq()
    assert read(GPTQ | {"desc_act": True}, parts).shape == (8, 40)
    parts["g_idx"] = parts["g_idx"][::-1].copy()
    with pytest.raises(ModelFileError, match="desc_act"):
        read(GPTQ, parts)


@pytest.mark.parametrize("suffix", ["qweight", "qzeros", "scales", "g_idx"])
@pytest.mark.parametrize("change", [lambda a: a[:-1], lambda a: a.astype(np.float32), None])
def test_parts_that_do_not_fit_together_are_refused(suffix, change):
    parts = Quantized(64, 16, 32).gptq()
    if change is None:
        del parts[suffix]
        if suffix == "g_idx":
            return
    else:
        parts[suffix] = change(parts[suffix])
    dtypes = DTYPES | {"float32": "F32" if suffix != "scales" else "F64"}
    stored = {k: Stored(dtypes[p.dtype.name], p.shape, 0, p.nbytes) for k, p in parts.items()}
    with pytest.raises(ModelFileError, match=r"lacks its qweight|type or shape"):
        Int4.read(ConfigFields({"quantization_config": GPTQ})).shape(stored, "m")


def test_a_scale_that_is_not_a_number_is_rejected():
    parts = Quantized(64, 8, 32).awq()
    parts["scales"][1, 3] = np.inf
    with pytest.raises(ModelFileError, match="does not fit float16"):
        read(AWQ, parts)


@pytest.mark.parametrize("config", [AWQ, GPTQ], ids=["awq", "gptq"])
@pytest.mark.parametrize("family", ["Llama 3.1", "Qwen2", "Phi-3"])
def test_a_folder_gives_the_matrices_that_its_levels_stand_for(tmp_path, family, config):
    """Under GGUF's names and in its order, beside matrices that stay as they are."""
    model = FAMILIES[family].make()
    write_folder(model, tmp_path)
    plain = open_model_file(tmp_path)
    values = quantize_folder(tmp_path, config["quant_method"], 32)
    stated = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(stated | {"quantization_config": config}))
    file = open_model_file(tmp_path)
    assert file.quantization == config["quant_method"].upper()
    assert file.tensors.keys() == plain.tensors.keys()
    (expected := tmp_path / "expected").mkdir()
    with torch.no_grad():
        with_values(model, values)
    write_folder(model, expected)
    whole = open_model_file(expected)
    quantized = 0
    for name, info in file.tensors.items():
        assert info.shape == whole.tensors[name].shape
        ours = dequantize(file.data(name), info.type, info.shape)
        theirs = dequantize(whole.data(name), whole.tensors[name].type, info.shape)
        assert np.abs(ours - theirs).max() < 1e-3, name
        quantized += info.type == GGMLType.Q4_1
    assert quantized == len(values)


def test_quantized_matrices_without_a_method_are_refused(tmp_path):
    write_folder(FAMILIES["Qwen2"].make(), tmp_path)
    quantize_folder(tmp_path, "awq", 32)
    with pytest.raises(ModelFileError, match="no quantization_config that says how"):
        open_model_file(tmp_path)
