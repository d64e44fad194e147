"""Folders of models with latent attention."""

from __future__ import annotations

import pytest

from minikin.engine.model.architecture import Architecture
from minikin.engine.model.latent import Latent
from minikin.errors import ModelFileError
from minikin.model_file.model_file import open_model_file
from tests.engine.tiny_folders import state, write_folder
from tests.engine.tiny_models import FAMILIES


@pytest.fixture(params=["DeepSeek-V2-Lite", "DeepSeek-V3", "GLM-4.7-Flash"])
def folder(request, tmp_path):
    return write_folder(FAMILIES[request.param].make(), tmp_path)


@pytest.mark.parametrize("folder", ["DeepSeek-V2-Lite"], indirect=True)
def test_published_keys_mean_the_same(folder):
    expected = Architecture.read(open_model_file(folder))
    yarn = {
        "type": "yarn", "factor": 4, "mscale": 0.707, "mscale_all_dim": 0.707, "beta_fast": 32,
        "beta_slow": 1, "original_max_position_embeddings": 64,
    }  # fmt: skip
    published = {"moe_layer_freq": 1, "scoring_func": "softmax", "topk_method": "greedy"}
    state(folder, rope_parameters=None, rope_theta=10_000, rope_scaling=yarn, **published)
    assert Architecture.read(open_model_file(folder)) == expected
    assert expected.latent == Latent(rank=64, query_rank=0, rotated=32, value_dim=32)


@pytest.mark.parametrize("folder", ["GLM-4.7-Flash"], indirect=True)
@pytest.mark.parametrize("kinds", [None, ["dense", "sparse", "sparse"]])
@pytest.mark.parametrize("first", [None, 1])
def test_the_first_layer_of_glm_is_dense(folder, kinds, first):
    state(folder, mlp_layer_types=kinds, first_k_dense_replace=first)
    assert Architecture.read(open_model_file(folder)).experts.first == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rope_interleave": False}, "rope_interleave can't be False"),
        ({"num_key_value_heads": 2}, "num_key_value_heads can't be 2"),
        ({"mlp_layer_types": ["sparse", "dense", "sparse"]}, r"mlp_layer_types can't be"),
        ({"mlp_layer_types": 3}, r"mlp_layer_types can't be 3"),
        ({"kv_lora_rank": 0}, "kv_lora_rank can't be 0"),
        ({"q_lora_rank": -1}, "q_lora_rank can't be -1"),
        ({"qk_nope_head_dim": None}, "lacks the field qk_nope_head_dim"),
        ({"qk_rope_head_dim": "x"}, "qk_rope_head_dim can't be 'x'"),
        ({"v_head_dim": 2.5}, "v_head_dim can't be 2.5"),
        ({"n_group": 4, "topk_group": 5}, "topk_group can't be 5"),
    ],
)
def test_an_unsupported_variant_is_rejected_by_name(folder, change, reason):
    state(folder, **change)
    with pytest.raises(ModelFileError, match=f"config.json.*{reason}"):
        open_model_file(folder)
