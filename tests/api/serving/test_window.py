import pytest
from gguf import GGUFWriter

from minikin.api.serving.window import stated_context_length
from minikin.config import EngineSettings


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, 65_536),
        ({"kv_cache_tokens": 100_000}, 100_000),
        ({"kv_cache_tokens": 10**9}, 131_072),
        ({"context_length": 4096}, 4096),
        ({"context_length": 10**9, "kv_cache_tokens": 1000}, 1000),
    ],
)
def test_a_file_states_a_window_that_the_settings_may_shorten(tmp_path, settings, expected):
    writer = GGUFWriter(tmp_path / "long.gguf", "llama")
    writer.add_context_length(131_072)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    engine = EngineSettings(model=tmp_path / "long.gguf", **settings)
    assert stated_context_length(engine) == expected


def test_the_window_of_an_unreadable_file_is_unknown(tmp_path):
    (tmp_path / "page.gguf").write_bytes(b"<html>")
    for name in ("page.gguf", "missing.gguf"):
        assert stated_context_length(EngineSettings(model=tmp_path / name)) is None
