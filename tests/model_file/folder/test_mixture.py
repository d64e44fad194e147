"""Folders whose layers are mixtures of experts, which have a matrix of each expert by itself."""

from __future__ import annotations

import re

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from minikin.engine.model.architecture import Architecture
from minikin.errors import ModelFileError
from minikin.model_file.dequantize import dequantize
from minikin.model_file.gguf import GGMLType
from minikin.model_file.model_file import open_model_file
from tests.engine.tiny_folders import state, write_folder
from tests.engine.tiny_models import FAMILIES
from tests.model_file.folder.quantized import quantize_folder

EXPERT = "model.layers.1.mlp.experts.{}.up_proj.weight"
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 32}


@pytest.fixture
def folder(tmp_path):
    write_folder(FAMILIES["Qwen3-MoE"].make(), tmp_path)
    return tmp_path


def test_experts_lie_one_below_the_other(folder):
    tensors, file = load_file(folder / "model.safetensors"), open_model_file(folder)
    name = "blk.1.ffn_up_exps.weight"
    assert file.tensors[name].shape == (8, 64, 64)
    stacked = file.data(name).view("<f4").reshape(8, 64, 64)
    for expert in range(8):
        assert np.array_equal(stacked[expert], tensors[EXPERT.format(expert)])


def test_quantized_experts_stay_packed(folder):
    values = quantize_folder(folder, "awq", 32)
    state(folder, quantization_config=AWQ)
    file, name = open_model_file(folder), "blk.1.ffn_up_exps.weight"
    stored = file.tensors[name]
    assert (stored.type, stored.shape) == (GGMLType.Q4_1, (8, 64, 64))
    stacked = dequantize(file.data(name), stored.type, stored.shape)
    for expert in range(8):
        assert np.abs(stacked[expert] - values[EXPERT.format(expert)]).max() < 1e-3


def test_published_names_of_the_experts_count(folder):
    state(folder, num_local_experts=None, num_experts=8, norm_topk_prob=None)
    experts = Architecture.read(open_model_file(folder)).experts
    assert (experts.count, experts.used, experts.normalized) == (8, 3, False)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"num_local_experts": None}, "lacks the field num_experts"),
        ({"num_local_experts": 10**6}, "num_local_experts can't be 1000000"),
        ({"num_experts_per_tok": 9}, "num_experts_per_tok can't be 9"),
        ({"moe_intermediate_size": "x"}, "moe_intermediate_size can't be 'x'"),
        ({"decoder_sparse_step": 2}, "decoder_sparse_step can't be 2"),
        ({"mlp_only_layers": [0]}, r"mlp_only_layers can't be \[0\]"),
        ({"use_sliding_window": True}, "use_sliding_window can't be True"),
    ],
)
def test_an_unsupported_variant_is_rejected_by_name(folder, change, reason):
    state(folder, **change)
    with pytest.raises(ModelFileError, match=f"config.json.*{reason}"):
        open_model_file(folder)


def test_experts_that_are_missing_or_unlike_the_others_are_named(folder):
    whole = load_file(folder / "model.safetensors")
    for missing in (0, 5, 7):
        tensors = dict(whole)
        del tensors[EXPERT.format(missing)]
        save_file(tensors, folder / "model.safetensors")
        said = "blk.1.ffn_up_exps lacks the expert " + str(missing)
        if missing == 7:  # then there are seven, which config.json knows better
            assert open_model_file(folder).tensors["blk.1.ffn_up_exps.weight"].shape[0] == 7
            continue
        with pytest.raises(ModelFileError, match=re.escape(said)):
            open_model_file(folder)
    for odd in (whole[EXPERT.format(5)][:32], whole[EXPERT.format(5)].astype(np.float16)):
        save_file(whole | {EXPERT.format(5): odd.copy()}, folder / "model.safetensors")
        with pytest.raises(ModelFileError, match="different shapes or types: 0 and 5"):
            open_model_file(folder)


def test_experts_of_a_family_without_keep_their_own_names(tmp_path):
    write_folder(FAMILIES["Qwen3"].make(), tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    extra = {EXPERT.format(0): tensors["model.layers.1.mlp.up_proj.weight"]}
    save_file(tensors | extra, tmp_path / "model.safetensors")
    assert EXPERT.format(0) in open_model_file(tmp_path).tensors  # which the loader has no use for
