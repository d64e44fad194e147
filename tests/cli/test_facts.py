from __future__ import annotations

import pytest
from gguf.constants import GGMLQuantizationType

from minikin.cli.facts import read_facts
from minikin.engine.model.footprint import footprint
from minikin.model_file.model_file import open_model_file
from tests.engine.tiny_folders import write_folder
from tests.engine.tiny_gguf import write_gguf
from tests.engine.tiny_models import FAMILIES
from tests.real_model import default_model


@pytest.mark.model
def test_the_default_model():
    facts = read_facts(default_model())
    assert (facts.family, facts.quantization, facts.context_length) == ("llama", "Q4_1", 8192)
    assert 134_000_000 < facts.parameters < 136_000_000
    assert facts.memory == footprint(open_model_file(default_model()))


def test_a_file_without_a_name_for_its_types_is_called_after_most_weights(tmp_path):
    tiny = FAMILIES["gpt-oss"]
    model = tiny.make()
    write_gguf(tiny, model, path := tmp_path / "model.gguf", GGMLQuantizationType.MXFP4)
    facts = read_facts(path)
    assert (facts.quantization, facts.parameters) == ("MXFP4", model.num_parameters())


def test_a_folder_says_the_same_as_a_file(tmp_path):
    tiny = FAMILIES["Qwen3"]
    model = tiny.make()
    write_gguf(tiny, model, tmp_path / "model.gguf")
    assert read_facts(write_folder(model, tmp_path / "folder")) == read_facts(
        tmp_path / "model.gguf"
    )
