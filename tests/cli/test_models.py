from __future__ import annotations

import os
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFWriter, quantize

from minikin.cli import app
from minikin.model_file.model_file import open_model_file

from .conftest import Minikin, Server

PAYLOAD = b"GGUF" * 250_000


def test_pull_prints_the_path(minikin: Minikin, server: Server, tmp_path: Path):
    server.files["/tiny.gguf"] = PAYLOAD
    run = minikin("pull", f"{server.url}/tiny.gguf")
    assert run.returncode == 0
    path = Path(run.stdout.strip())
    assert path.is_relative_to(tmp_path / "cache")
    assert path.read_bytes() == PAYLOAD
    assert "tiny.gguf" in run.stderr


def test_cache_option_beats_the_environment(
    minikin: Minikin,
    server: Server,
    tmp_path: Path,
):
    server.files["/tiny.gguf"] = PAYLOAD
    run = minikin("pull", f"{server.url}/tiny.gguf", "--cache", str(tmp_path / "other"))
    assert Path(run.stdout.strip()).is_relative_to(tmp_path / "other")


def test_pull_of_a_missing_file(minikin: Minikin, server: Server):
    run = minikin("pull", f"{server.url}/tiny.gguf")
    assert run.returncode == 1
    assert run.stdout == ""
    assert "The file does not exist. Check the URL." in run.stderr


def test_pull_under_a_name(minikin: Minikin, server: Server):
    server.files["/tiny.gguf"] = PAYLOAD
    run = minikin("pull", f"{server.url}/tiny.gguf", "--name", "mine")
    assert Path(run.stdout.strip()).parts[-2:] == ("mine", "tiny.gguf")


def test_models_lists_known_and_present(minikin: Minikin, server: Server, tmp_path: Path):
    server.files["/tiny.gguf"] = tiny_model(tmp_path)
    server.files["/odd.gguf"] = tiny_model(tmp_path, "falcon", file_type=15)
    server.files["/broken.gguf"] = b"GGUF" * 500_000
    for name in ("tiny", "odd", "broken"):
        assert minikin("pull", f"{server.url}/{name}.gguf").returncode == 0
    (tmp_path / "cache" / "partial" / "half").mkdir()
    run = minikin("models")
    # Weights are packed if the processor supports the kernels.
    shown = re.sub(r"30\d MB", "30_ MB", run.stdout)
    assert [line.split() for line in shown.splitlines()[1:]] == [
        ["broken", "2", "MB", "unreadable", "no", "yes"],
        ["half", "partly"],
        ["odd", "2", "MB", "falcon", "Q4_K_M", "4,096", "30_", "MB", "unknown", "yes"],
        ["qwen3-1.7b", "1.8", "GB", "qwen3", "Q8_0", "40,960", "no"],
        ["qwen3-30b-a3b", "18.6", "GB", "qwen3moe", "Q4_K_M", "40,960", "no"],
        ["qwen3-4b", "2.5", "GB", "qwen3", "Q4_K_M", "40,960", "no"],
        ["qwen3-8b", "5.0", "GB", "qwen3", "Q4_K_M", "40,960", "no"],
        ["smollm2-135m-instruct", "98", "MB", "llama", "Q4_1", "8,192", "no"],
        ["tiny", "2", "MB", "llama", "Q8_0", "4,096", "30_", "MB", "yes", "yes"],
    ]
    assert str(tmp_path / "cache" / "models") in run.stderr
    assert minikin("list").stdout == run.stdout


def test_models_compiles_nothing_and_loads_no_torch(
    minikin: Minikin, server: Server, tmp_path: Path, env: dict[str, str]
):
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    for compiler in ("gcc", "cc", "clang"):
        (stubs / compiler).write_text(f"#!/bin/sh\ntouch {tmp_path}/compiled\nexit 1\n")
        (stubs / compiler).chmod(0o755)
    (stubs / "torch.py").write_text("raise AssertionError('torch is imported')")
    server.files["/tiny.gguf"] = tiny_model(tmp_path)
    assert minikin("pull", f"{server.url}/tiny.gguf").returncode == 0
    env["PATH"] = os.pathsep.join([str(stubs), env["PATH"]])
    env["PYTHONPATH"] = os.pathsep.join([str(stubs), env["PYTHONPATH"]])
    run = minikin("models")
    assert "30" in run.stdout
    assert run.returncode == 0, run.stderr
    assert not (tmp_path / "compiled").exists()


@pytest.mark.parametrize(("gigabytes", "name"), [(1, "smollm2-135m-instruct"), (8, "qwen3-4b")])
def test_recommended_is_what_fits_the_machine(
    gigabytes: int, name: str, monkeypatch: pytest.MonkeyPatch, capfd, tmp_path: Path
):
    monkeypatch.setattr("minikin.machine.memory", lambda: gigabytes * 10**9)
    monkeypatch.setattr("minikin.machine.processors", lambda: 4)
    pulled = []

    def pull(model: str, *more: object):
        pulled.append(model)
        return SimpleNamespace(record=SimpleNamespace(name=model), path=tmp_path)

    monkeypatch.setattr("minikin.hub.fetch.pull", pull)
    app(["models", "--recommend"], standalone_mode=False)
    assert capfd.readouterr().out.strip().endswith(f"minikin serve {name}")
    app(["pull", "--recommend"], standalone_mode=False)
    assert pulled == [name]


@pytest.mark.parametrize("words", [["pull"], ["pull", "qwen3-4b", "--recommend"]])
def test_pull_needs_one_model(minikin: Minikin, words: list[str]):
    run = minikin(*words)
    assert run.returncode == 1
    assert "Name one model" in run.stderr


def test_rm(minikin: Minikin, server: Server, tmp_path: Path):
    server.files["/tiny.gguf"] = PAYLOAD
    minikin("pull", f"{server.url}/tiny.gguf")
    run = minikin("rm", "tiny")
    assert run.returncode == 0
    assert "Deleted tiny (1 MB freed)." in run.stderr
    assert not list((tmp_path / "cache" / "models").iterdir())
    assert "There is no model 'tiny' here." in minikin("rm", "tiny").stderr


def test_rm_removes_the_packed_weights_too(minikin: Minikin, server: Server, tmp_path: Path):
    server.files["/tiny.gguf"] = tiny_model(tmp_path)
    minikin("pull", f"{server.url}/tiny.gguf")
    packed = tmp_path / "cache" / "packed"
    packed.mkdir()
    digest = open_model_file(tmp_path / "made.gguf").digest()
    mine, other = (packed / f"{start}-0123.packed" for start in (digest[:32], "0" * 32))
    for file in (mine, other):
        file.write_bytes(bytes(7_000_000))
    assert re.search(r"Deleted tiny \(\d MB freed\)", minikin("rm", "tiny").stderr)
    assert [*packed.iterdir()] == [other]


def tiny_model(folder: Path, family: str = "llama", file_type: int | None = None) -> bytes:
    """A GGUF file with one Q8_0 tensor and the metadata that the facts are read from."""
    writer = GGUFWriter(folder / "made.gguf", family)
    if file_type is not None:
        writer.add_file_type(file_type)
    writer.add_context_length(4096)
    writer.add_block_count(1)
    writer.add_embedding_length(64)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    rows = np.zeros((25_000, 64), dtype=np.float32)
    writer.add_tensor(
        "token_embd.weight",
        quantize(rows, GGMLQuantizationType.Q8_0),
        raw_dtype=GGMLQuantizationType.Q8_0,
    )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return (folder / "made.gguf").read_bytes()


def test_a_page_in_place_of_a_model_is_not_kept(minikin: Minikin, server: Server, tmp_path: Path):
    server.files["/page.gguf"] = b"<!DOCTYPE html><title>Log in</title>"
    run = minikin("pull", f"{server.url}/page.gguf")
    assert run.returncode == 1
    assert "is not a GGUF file: it starts with b'<!DO'" in run.stderr
    assert "page" not in minikin("models").stdout
