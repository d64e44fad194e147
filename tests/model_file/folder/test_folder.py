from __future__ import annotations

import json
import os
import shutil

import pytest
from safetensors.numpy import load_file, save_file

from minikin.errors import ModelFileError
from minikin.model_file.model_file import open_model_file
from minikin.model_file.sampling import recommended_sampling
from minikin.tokenizer.tokenizer import Tokenizer
from tests.engine.tiny_folders import write_folder
from tests.engine.tiny_models import FAMILIES

INDEX = "model.safetensors.index.json"


@pytest.fixture(scope="module")
def model():
    return FAMILIES["Qwen2"].make()


@pytest.fixture
def folder(tmp_path, model):
    return write_folder(model, tmp_path / "model")


@pytest.fixture
def sharded(tmp_path, model):
    return write_folder(model, tmp_path / "sharded", "100KB")


def edit(path, **changes):
    content = json.loads(path.read_text()) | changes
    kept = {key: value for key, value in content.items() if value is not None}
    path.write_text(json.dumps(kept))


def test_one_file_and_several_are_the_same_model(folder, sharded):
    whole, parts = open_model_file(folder), open_model_file(sharded)
    assert len(list(sharded.glob("*.safetensors"))) > 2
    assert whole.tensors.keys() == parts.tensors.keys()
    for name in whole.tensors:
        assert (whole.data(name) == parts.data(name)).all()


def test_a_folder_and_a_gguf_file_have_the_same_sampling_keys(folder):
    edit(folder / "generation_config.json", temperature=0.7, top_k={"odd": [1]})
    file = open_model_file(folder)
    assert file.metadata["general.sampling.temp"] == 0.7
    assert recommended_sampling(file.metadata) == {"temperature": 0.7}
    assert file.digest()


def test_a_digest_tells_models_and_tokenizers_apart(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "same")
    assert open_model_file(tmp_path / "same").digest() == open_model_file(folder).digest()
    before = open_model_file(folder).digest()
    edit(folder / "tokenizer_config.json", eos_token="<|endoftext|>")
    other = open_model_file(folder).digest()
    assert other != before
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"] = tensors["model.norm.weight"] + 1
    save_file(tensors, folder / "model.safetensors")
    assert open_model_file(folder).digest() != other


def test_a_folder_says_what_a_conversation_needs(folder):
    tokenizer = Tokenizer.from_gguf(open_model_file(folder).metadata)
    assert tokenizer.eos_ids == {253, 255}
    assert (tokenizer.eos_token, tokenizer.bos_id) == ("<|im_end|>", None)
    assert "add_generation_prompt" in tokenizer.chat_template
    assert tokenizer.decode(tokenizer.encode("é <|im_end|>")) == "é <|im_end|>"


@pytest.mark.parametrize("home", ["tokenizer_config.json", "named", "chat_template.json"])
def test_older_places_of_the_chat_template(folder, home):
    (folder / "chat_template.jinja").unlink()
    if home == "chat_template.json":
        (folder / home).write_text(json.dumps({"chat_template": "{{ x }}"}))
    else:
        named = [{"name": "rag", "template": "no"}, {"name": "default", "template": "{{ x }}"}]
        template = named if home == "named" else "{{ x }}"
        edit(folder / "tokenizer_config.json", chat_template=template)
    assert Tokenizer.from_gguf(open_model_file(folder).metadata).chat_template == "{{ x }}"


def test_the_only_safetensors_file_may_have_any_name(folder):
    (folder / "model.safetensors").rename(folder / "gptq_model-4bit-128g.safetensors")
    assert open_model_file(folder).tensors


def test_a_tied_head_is_left_out_and_old_frequencies_are(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = tensors["model.norm.weight"][:8]
    save_file(tensors, folder / "model.safetensors")
    assert "output.weight" in open_model_file(folder).tensors
    assert len(open_model_file(folder).tensors) == len(tensors) - 1
    edit(folder / "config.json", tie_word_embeddings=True)
    assert "output.weight" not in open_model_file(folder).tensors


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ModelFileError, match=f"has no {name}"):
        Tokenizer.from_gguf(open_model_file(folder).metadata)


@pytest.mark.parametrize(
    "name",
    ["../model/outside.safetensors", "/etc/passwd", "..", "", "a\0b", "sub/x", "x\\y", "a" * 300],
)
def test_a_shard_outside_the_folder_is_refused(sharded, name):
    homes = json.loads((sharded / INDEX).read_text())["weight_map"]
    first = next(iter(homes))
    edit(sharded / INDEX, weight_map=homes | {first: name})
    with pytest.raises(ModelFileError, match="is not the name of a file in it"):
        open_model_file(sharded)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_link_out_of_the_folder_is_refused(folder, tmp_path, name):
    (folder / name).rename(tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelFileError, match=f"'{name}' is a link that leaves the folder"):
        open_model_file(folder)


def test_a_link_within_the_folder_is_followed(folder):
    (folder / "model.safetensors").rename(folder / "blob")
    (folder / "model.safetensors").symlink_to("blob")
    assert open_model_file(folder).tensors


def test_links_that_lead_nowhere_and_pipes_are_refused(folder):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to("model.safetensors")
    with pytest.raises(ModelFileError, match=r"loop of links|Too many levels"):
        open_model_file(folder)
    (folder / "model.safetensors").unlink()
    os.mkfifo(folder / "model.safetensors")
    with pytest.raises(ModelFileError, match="is not a regular file"):
        open_model_file(folder)


@pytest.mark.parametrize(
    ("homes", "reason"),
    [
        (None, "has no weight_map"),
        ({}, "has no weight_map"),
        ({"a": 7}, "a file name that is not a string"),
        ({"a": "gone.safetensors"}, "names 'gone.safetensors', which is missing"),
        ({f"{i}": f"{i}.safetensors" for i in range(600)}, "names 600 files. The maximum is 512"),
    ],
)
def test_an_invalid_index_is_rejected(sharded, homes, reason):
    edit(sharded / INDEX, weight_map=homes)
    with pytest.raises(ModelFileError, match=reason):
        open_model_file(sharded)


def test_an_index_and_its_shards_must_agree(sharded):
    homes = json.loads((sharded / INDEX).read_text())["weight_map"]
    edit(sharded / INDEX, weight_map=homes | {"odd": homes["model.norm.weight"]})
    with pytest.raises(ModelFileError, match="lacks the tensor 'odd'"):
        open_model_file(sharded)
    del homes["model.norm.weight"]
    edit(sharded / INDEX, weight_map=homes)
    with pytest.raises(ModelFileError, match=r"the index, the tensor 'model\.norm\.weight'"):
        open_model_file(sharded)


@pytest.mark.parametrize("dtype", ["int64", "float64", "bool"])
def test_an_unsupported_weight_type_is_rejected_by_name(folder, dtype):
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"] = tensors["model.norm.weight"].astype(dtype)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ModelFileError, match="Supported: F32, F16, BF16"):
        open_model_file(folder)
