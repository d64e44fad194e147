"""Folders of Gemma 4."""

from __future__ import annotations

from dataclasses import replace

import pytest

from minikin.engine.model.architecture import Architecture, Heads
from minikin.errors import ModelFileError
from minikin.model_file.model_file import open_model_file
from tests.engine.tiny_folders import state, write_folder
from tests.engine.tiny_models import FAMILIES, GEMMA4


@pytest.fixture(params=["Gemma 4"])
def folder(request, tmp_path):
    return write_folder(FAMILIES[request.param].make(), tmp_path)


def read(folder):
    return Architecture.read(open_model_file(folder))


PUBLISHED = {
    "per_layer_config": None, "head_dim": 32, "num_key_value_heads": 2, "global_head_dim": 64,
    "num_global_key_value_heads": 1, "attention_k_eq_v": True,
}  # fmt: skip


@pytest.mark.parametrize("folder", ["Gemma 4", "Gemma 4 12B", "Gemma 4 26B-A4B"], indirect=True)
def test_published_keys_mean_the_same(folder):
    expected = read(folder)
    state(folder, **PUBLISHED)
    assert read(folder) == expected
    assert expected.global_heads == Heads(1, 64)
    assert (expected.kv_heads, expected.head_dim) == (2, 32)


def test_only_keys_that_are_values_have_a_number_of_their_own(folder):
    state(folder, **PUBLISHED | {"attention_k_eq_v": False})
    assert read(folder).global_heads == Heads(2, 64)


def test_defaults_are_those_of_the_library(folder):
    stated = read(folder)
    state(folder, rope_parameters=None, layer_types=None, **PUBLISHED)
    found = read(folder)
    assert found.windows == (20,) * 5 + (None,), "the last layer has no window"
    assert {*found.ropes} == {*stated.ropes}
    state(folder, global_head_dim=None, hidden_size_per_layer_input=None)
    assert read(folder).layer_inputs == 256
    assert read(folder).global_heads == Heads(1, 512)


@pytest.mark.parametrize("folder", ["Gemma 4 E2B"], indirect=True)
def test_last_layers_use_the_keys_of_the_last_ones_like_them(folder):
    found = read(folder)
    assert found.key_sources == (0, 1, 2, 3, 2, 3)
    assert found.has_keys == (True,) * 4 + (False,) * 2
    assert found.key_places == (0, 1, 2, 3, 2, 3)
    assert found.key_values == 2 * 2 * (2 * 32 + 2 * 64)
    assert [found.dense_size(layer) for layer in range(6)] == [96] * 4 + [192] * 2
    state(folder, use_double_wide_mlp=False)
    assert replace(read(folder), feed_forward=192, feed_forwards=found.feed_forwards) == found


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"use_bidirectional_attention": "all"}, "use_bidirectional_attention can't be 'all'"),
        ({"hidden_activation": "silu"}, "hidden_activation can't be 'silu'"),
        ({"attention_bias": True}, "attention_bias can't be True"),
        ({"layer_types": ["full_attention"]}, "layer_types can't be"),
        (PUBLISHED | {"layer_types": ["x"] * 6}, "layer_types can't be"),
        ({"per_layer_config": {"0": {"head_dim": 64}}}, "per_layer_config can't be"),
        ({"per_layer_config": {"2": {"head_dim": 64}, "5": {"head_dim": 32}}}, "per_layer_config"),
        ({"per_layer_config": 3}, "per_layer_config can't be 3"),
        ({"num_kv_shared_layers": 6}, "num_kv_shared_layers can't be 6"),
        ({"num_kv_shared_layers": 5}, "shared_kv_layers can't be 5"),
        ({"hidden_size_per_layer_input": -1}, "hidden_size_per_layer_input can't be -1"),
        (PUBLISHED | {"num_global_key_value_heads": 3}, "head_count_kv can't be"),
        ({"rope_parameters": {**GEMMA4["rope_parameters"], "full_attention": {
            "rope_type": "proportional", "rope_theta": 1e6, "partial_rotary_factor": 2,
        }}}, "partial_rotary_factor can't be 2"),
    ],
)  # fmt: skip
def test_what_is_not_computed_is_refused(folder, change, reason):
    state(folder, **change)
    with pytest.raises(ModelFileError, match=reason):
        read(folder)
