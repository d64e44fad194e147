from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from minikin.engine.model.architecture import Architecture
from minikin.engine.model.weights import load_weights
from minikin.errors import ModelFileError
from minikin.model_file.folder.config import ConfigFields, read_kind, read_shape
from minikin.model_file.folder.kinds import KINDS
from minikin.model_file.folder.rope import read_rope
from minikin.model_file.model_file import open_model_file
from tests.engine.model.verified import GGUF_ONLY
from tests.engine.tiny_folders import write_folder
from tests.engine.tiny_gguf import write_gguf
from tests.engine.tiny_models import FAMILIES


def older(config):
    """As transformers before version 5 wrote it, or as the first files of newer models have it."""
    config = dict(config)
    if "text_config" in config:
        return config | {"text_config": older(config["text_config"])}
    if config["model_type"].startswith("gemma4"):
        own = next(iter(config.pop("per_layer_config").values()))
        keys = own.get("num_key_value_heads")
        return config | {"global_head_dim": own["head_dim"], "num_global_key_value_heads": keys}
    if config["model_type"] == "nemotron_h":
        letters = {"linear_attention": "M", "full_attention": "*", "mlp": "-", "moe": "E"}
        pattern = "".join(letters[kind] for kind in config.pop("layers_block_type"))
        config["attention_head_dim"] = config.pop("head_dim")
        return config | {"hybrid_override_pattern": pattern, "time_step_limit": [0.0, math.inf]}
    rope = config.pop("rope_parameters")
    if config["model_type"] == "olmo3":
        config["sliding_window_pattern"], rope = 4, rope["full_attention"]
    if "full_attention" in rope:
        config["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = rope["full_attention"]
        config["sliding_window_pattern"] = 6
    if config["model_type"] == "lfm2":
        kinds = config["layer_types"]
        config["full_attn_idxs"] = [i for i, kind in enumerate(kinds) if kind != "conv"]
        config["block_ff_dim"] = config.pop("intermediate_size")
        config["tie_embedding"] = config.pop("tie_word_embeddings")
    if config["model_type"] in ("qwen3_5_text", "qwen3_5_moe_text", "qwen3_next"):
        config["full_attention_interval"] = 3
    if config["model_type"] == "granitemoehybrid":
        names = {"linear_attention": "mamba", "full_attention": "attention"}
        config["layer_types"] = [names[kind] for kind in config["layer_types"]]
    if config["model_type"] not in ("granitemoehybrid", "lfm2_moe"):
        config.pop("layer_types", None)
    scaling = {key: value for key, value in rope.items() if key not in ("rope_theta",)}
    if (share := scaling.pop("partial_rotary_factor", None)) is not None:
        config["partial_rotary_factor"] = share
    scaling["type"] = scaling.pop("rope_type", "default")
    return config | {
        "rope_theta": rope["rope_theta"],
        "rope_scaling": None if scaling["type"] == "default" else scaling,
    }


@pytest.fixture(scope="module", params=[name for name in FAMILIES if name not in GGUF_ONLY])
def both(request, tmp_path_factory):
    """A family's folder, and the architecture that its GGUF file states."""
    tiny, folder = FAMILIES[request.param], tmp_path_factory.mktemp("model")
    model = tiny.make()
    write_folder(model, folder)
    write_gguf(tiny, model, folder / "model.gguf")
    return folder, Architecture.read(open_model_file(folder / "model.gguf"))


@pytest.mark.parametrize("form", [dict, older], ids=["newer", "older"])
def test_the_shape_is_that_of_the_gguf_file(both, form):
    folder, expected = both
    text = (folder / "config.json").read_text()
    try:
        (folder / "config.json").write_text(json.dumps(form(json.loads(text))))
        found = Architecture.read(open_model_file(folder))
    finally:
        (folder / "config.json").write_text(text)
    for ours, theirs in zip(found.ropes, expected.ropes, strict=True):
        assert ours.frequencies == pytest.approx(theirs.frequencies, rel=1e-6)
        assert ours.magnitude == pytest.approx(theirs.magnitude)
    assert found.attention_scale == pytest.approx(expected.attention_scale)
    same = {"ropes": expected.ropes, "attention_scale": expected.attention_scale}
    same["skipped_layers"] = expected.skipped_layers  # Folders do not present them.
    # A GGUF file's numbers have 32 bits.
    for name in ("norm_epsilon", "plain_epsilon", "embedding_scale"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name))
        same[name] = getattr(expected, name)
    assert replace(found, **same) == expected


QWEN2 = {
    "model_type": "qwen2", "num_hidden_layers": 4, "hidden_size": 64, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 96, "rms_norm_eps": 1e-6, "vocab_size": 256,
    "max_position_embeddings": 256, "rope_theta": 1e6, "hidden_act": "silu",
}  # fmt: skip
GEMMA3 = {key: QWEN2[key] for key in QWEN2 if key not in ("rope_theta", "hidden_act")} | {
    "model_type": "gemma3_text", "head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 20,
}  # fmt: skip


def read(config):
    fields = ConfigFields(config)
    kind = read_kind(fields)
    shape, factors = read_rope(fields, kind)
    return read_shape(fields, kind) | shape, factors


def windows(config):
    shape, _ = read(config)
    return shape.get("attention.sliding_window_pattern", np.zeros(0)).tolist()


def test_which_layers_a_window_is_for():
    window = {"sliding_window": 32, "max_window_layers": 3}
    assert windows(QWEN2 | window) == []
    assert windows(QWEN2 | window | {"use_sliding_window": True}) == [False] * 3 + [True]
    stated = {"layer_types": ["full_attention", "sliding_attention"] * 2}
    use = window | stated | {"use_sliding_window": True}
    assert windows(QWEN2 | use) == [False, True] * 2
    assert windows(QWEN2 | {"model_type": "llama", "sliding_window": 32}) == []
    assert windows(QWEN2 | {"model_type": "mistral", "sliding_window": None}) == []
    smollm3 = {"model_type": "smollm3", "no_rope_layers": [1, 1, 1, 0], "use_sliding_window": True}
    assert windows(QWEN2 | smollm3 | {"sliding_window": 8}) == [False, False, False, True]


def test_yarn_stretches_the_context_and_may_say_by_how_much_it_grows():
    yarn = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256}
    shape, _ = read(QWEN2 | {"rope_scaling": yarn})
    assert shape["context_length"] == 1024
    assert shape["rope.scaling.attn_factor"] == 1
    usual = 1 + 0.1 * math.log(4)
    shape, _ = read(QWEN2 | {"rope_scaling": yarn | {"attention_factor": 2.0}})
    assert shape["rope.scaling.attn_factor"] == pytest.approx(2 / usual)
    scales = {"mscale": 0.5, "mscale_all_dim": 1.0}
    shape, _ = read(QWEN2 | {"rope_scaling": yarn | scales})
    assert shape["rope.scaling.attn_factor"] == pytest.approx((1 + 0.05 * math.log(4)) / usual**2)


def test_an_unknown_type_is_refused_by_name():
    known = ", ".join(KINDS)
    for name in ("falcon", "mamba"):
        with pytest.raises(ModelFileError, match=f"model_type '{name}'. Supported: {known}"):
            read(QWEN2 | {"model_type": name})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model_type": None}, "model_type 'None'"),
        ({"num_hidden_layers": None}, "config.json lacks the field num_hidden_layers"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers can't be 1000000000"),
        ({"hidden_size": 64.0}, "hidden_size can't be 64.0"),
        ({"vocab_size": 10**9}, "vocab_size can't be"),
        ({"hidden_act": "relu"}, "hidden_act can't be 'relu'"),
        ({"use_mrope": True}, "use_mrope can't be True"),
        ({"use_sliding_window": 1, "sliding_window": 9}, "use_sliding_window can't be 1"),
        ({"use_sliding_window": True, "sliding_window": 9}, "lacks the field max_window_layers"),
        ({"rms_norm_eps": True}, "rms_norm_eps can't be True"),
        ({"rope_scaling": "yarn"}, "rope_scaling can't be 'yarn'"),
        (
            {"rope_scaling": {"type": "dynamic", "factor": 2.0}},
            "'dynamic' is not supported.*longrope",
        ),
        ({"rope_scaling": {"type": "linear"}}, "rope_scaling.factor"),
        ({"rope_scaling": {"type": "linear", "factor": 0.5}}, "rope_scaling.factor can't be 0.5"),
        ({"rope_scaling": {"type": "linear", "factor": 2, "odd": 3}}, "rope_scaling.'odd' is not"),
        ({"rope_scaling": {"type": "yarn", "factor": 2, "truncate": False}}, "truncate can't be"),
        ({"rope_parameters": {"full_attention": {}}}, "rope_parameters has an unknown format"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
        ({"model_type": "qwen3"}, "lacks the field head_dim"),
        ({"model_type": "smollm3", "no_rope_layers": [1, 0, 1, 0]}, "no_rope_layers can't be"),
        ({"model_type": "smollm3", "no_rope_layer_interval": 2}, "no_rope_layer_interval can't"),
        (GEMMA3 | {"use_bidirectional_attention": True}, "use_bidirectional_attention can't"),
        (GEMMA3 | {"hidden_activation": "gelu"}, "hidden_activation can't be 'gelu'"),
        (GEMMA3 | {"layer_types": ["full_attention"]}, "layer_types can't be"),
        (GEMMA3 | {"layer_types": ["chunked_attention"] * 4}, "layer_types can't be"),
    ],
)
def test_an_unsupported_variant_is_rejected_by_name(change, reason):
    with pytest.raises(ModelFileError, match=reason):
        read(QWEN2 | change)


GRANITE = "Granite 4 Hybrid MoE"
NANO = "Nemotron 3 Nano"


@pytest.mark.parametrize(
    ("family", "change", "reason"),
    [
        (GRANITE, {"time_step_limit": [0.0, 0.1]}, "time_step_limit can't be"),
        (GRANITE, {"layer_types": ["mamba", "odd", "attention"]}, "layer_types can't be"),
        (GRANITE, {"mamba_n_groups": 3}, "ssm.group_count can't be 3"),
        (
            GRANITE,
            {"mamba_d_head": 16},
            r"ssm_conv1d.weight must have the shape \(96, 4\)",
        ),
        (GRANITE, {"shared_intermediate_size": 100}, "feed_forward_length can't be 100"),
        ("Falcon-H1", {"mamba_rms_norm": True}, "mamba_norm_before_gate can't be True"),
        ("Falcon-H1", {"tie_word_embeddings": True}, "tie_word_embeddings can't be True"),
        ("Falcon-H1", {"projectors_bias": True}, "projectors_bias can't be True"),
        ("Falcon-H1", {"mlp_multipliers": [1.0]}, "mlp_multipliers can't be"),
        ("Falcon-H1", {"ssm_multipliers": [1.0, "x"] * 3}, "ssm_multipliers can't be"),
        (NANO, {"moe_latent_size": 64}, "moe_latent_size can't be 64"),
        (NANO, {"mlp_hidden_act": "silu"}, "mlp_hidden_act can't be 'silu'"),
        (NANO, {"n_shared_experts": 2}, "n_shared_experts can't be 2"),
        (NANO, {"time_step_limit": [0.001, 0.1]}, "time_step_limit can't be"),
        (NANO, {"layers_block_type": ["mamba", "moe", "mlp"]}, "layers_block_type can't be"),
        (NANO, {"layers_block_type": ["mamba", "other"]}, "layers_block_type can't be"),
        (NANO, {"layers_block_type": None}, "lacks the field hybrid_override_pattern"),
        (
            NANO,
            {"layers_block_type": None, "hybrid_override_pattern": "ME*X"},
            r"hybrid_override_pattern can't be 'ME\*X'",
        ),
    ],
)
def test_an_unsupported_mamba_is_rejected_by_name(tmp_path, family, change, reason):
    write_folder(FAMILIES[family].make(), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ModelFileError, match=reason):
        load(tmp_path)


def load(path):
    file = open_model_file(path)
    load_weights(file, Architecture.read(file))


def test_the_size_of_a_mamba_head_can_follow_from_the_others(tmp_path):
    write_folder(FAMILIES["Granite 4 Hybrid"].make(), tmp_path)
    text = (tmp_path / "config.json").read_text()
    expected = Architecture.read(open_model_file(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps(json.loads(text) | {"mamba_d_head": "auto"}))
    assert Architecture.read(open_model_file(tmp_path)) == expected


ODD = (True, -1, 0, 1, 3, 2**31, 2**70, -0.5, 0.0, 1e30, "", "x", [], ["a"], [1e400], {}, {"a": 1})


@pytest.mark.parametrize(
    "family",
    ["Qwen2.5 YaRN", "Llama 3.1", "Gemma 3", "Phi-4-mini", GRANITE, "Falcon-H1", "Nemotron 3 Nano"],
)
def test_odd_values_are_read_or_refused(tmp_path, family):
    write_folder(FAMILIES[family].make(), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    rope = config.get("rope_parameters", {})
    odd = [config | {key: value} for key in config for value in ODD]
    odd += [
        config | {"rope_parameters": rope | {key: value}} for key in rope for value in ODD
    ]  # fmt: skip
    for changed in odd:
        (tmp_path / "config.json").write_text(json.dumps(changed).replace("Infinity", "1e400"))
        with suppress(ModelFileError):
            Architecture.read(open_model_file(tmp_path)).rotary_order(4)
