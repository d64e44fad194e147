from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFWriter
from msgspec.structs import replace

from minikin.api.serving.loading import default_sampling
from minikin.config import EngineSettings, ModelSettings
from minikin.model_file.model_file import open_model_file


@pytest.fixture
def model(tmp_path: Path) -> ModelSettings:
    """Its file recommends a temperature and a top_k, the record of its like two others."""
    writer = GGUFWriter(tmp_path / "tiny.gguf", "llama")
    writer.add_float32("general.sampling.temp", 0.6)
    writer.add_int32("general.sampling.top_k", 40)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return ModelSettings(
        id="tiny",
        engine=EngineSettings(model=tmp_path / "tiny.gguf"),
        known_sampling={"temperature": 0.2, "top_p": 0.9},
    )


def metadata_of(model: ModelSettings) -> Mapping[str, Any]:
    return open_model_file(model.engine.model).metadata


def test_the_file_comes_before_the_record(model: ModelSettings, caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO", "minikin")
    assert default_sampling(model, metadata_of(model)) == {
        "temperature": 0.6,
        "top_p": 0.9,
        "top_k": 40,
    }
    assert caplog.messages == ["Sampling defaults of tiny: temperature 0.6, top_p 0.9, top_k 40"]


def test_openais_defaults_can_be_chosen(model: ModelSettings):
    assert default_sampling(replace(model, sampling="openai"), metadata_of(model)) == {}
