"""Weights that an earlier load unpacked: what a start takes from their file, and when not."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from minikin.config import EngineSettings, cache_folder
from minikin.engine import loader, packed_cache
from minikin.engine.loader import load_engine
from minikin.engine.messages import GenerationRequest, SamplingParams
from minikin.engine.native.build import load_library
from tests.engine.tiny_gguf import write_gguf
from tests.engine.tiny_models import FAMILIES, VOCABULARY
from tests.own_cache import own_cache

pytestmark = pytest.mark.skipif(load_library() is None, reason="no gcc here")
LIBRARY = load_library()
TOKENIZER = SimpleNamespace(
    vocab_size=VOCABULARY,
    eos_ids=frozenset({VOCABULARY}),
    token_bytes=lambda token: b"%x " % token,
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, caplog):
    """The folder of packed files, which models of every size use."""
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("MINIKIN_CACHE", str(own_cache(tmp_path / "cache")))
    monkeypatch.setattr(packed_cache, "LEAST_BYTES", 1)
    monkeypatch.setattr(loader.Tokenizer, "from_gguf", lambda metadata: TOKENIZER)
    return cache_folder() / "packed"


@pytest.fixture
def model(tmp_path):
    """A tiny mixture, so that matrices of experts and others are in the file."""
    return written(tmp_path / "model.gguf")


def written(path: Path, family: str = "Mixtral") -> Path:
    write_gguf(FAMILIES[family], FAMILIES[family].make(), path)
    return path


def answer(model: Path, most: int = 1) -> str:
    """What the model says after a load whose thread has finished its file."""
    settings = EngineSettings(model=model, threads=1, packed_cache=most, kv_cache_tokens=256)
    engine, _ = load_engine(settings, find_kernels=lambda: LIBRARY)
    for thread in threading.enumerate():
        if thread.name == packed_cache.THREAD:
            thread.join()
    params = SamplingParams(max_tokens=24, temperature=1.0, seed=1)
    engine.add(GenerationRequest(id="a", prompt=list(range(1, 40)), params=params))
    events = []
    while engine.busy:
        events += engine.step()
    return "".join(event.text for event in events)


def packed(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.packed"), key=lambda file: file.stat().st_ctime_ns)


def said(caplog) -> list[str]:
    """The lines about packed weights since the last call."""
    lines = [r.getMessage() for r in caplog.records if r.name == packed_cache.__name__]
    caplog.clear()
    return [line.split()[0] for line in lines]


def test_a_second_start_maps_the_weights_and_answers_the_same(folder, model, caplog):
    without = answer(model, most=0)
    assert not folder.exists()
    assert answer(model) == without
    assert said(caplog) == ["Kept"]
    assert answer(model) == without
    assert said(caplog) == ["Mapped"]
    assert answer(model, most=0) == without
    assert said(caplog) == []


def test_a_second_start_reads_no_matrix_of_the_model(folder, model, monkeypatch):
    answer(model)
    names = []
    data = loader.open_model_file(model).__class__.data
    monkeypatch.setattr(
        "minikin.model_file.gguf.GGUFFile.data",
        lambda file, name: (names.append(name), data(file, name))[1],
    )
    answer(model)
    assert names
    assert not [name for name in names if "attn_q" in name or "exps" in name]


def flip(at: int):
    def change(file: Path) -> None:
        whole = bytearray(file.read_bytes())
        whole[at] ^= 1
        file.write_bytes(whole)

    return change


def flip_unseen(file: Path) -> None:
    """As a disk does that loses a bit: the time of the last change stays."""
    status = file.stat()
    flip(1000)(file)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


DAMAGE = {
    "no bytes": lambda file: os.truncate(file, 0),
    "half of it": lambda file: os.truncate(file, file.stat().st_size // 2),
    "one byte less": lambda file: os.truncate(file, file.stat().st_size - 1),
    "one byte more": lambda file: file.write_bytes(file.read_bytes() + b"1"),
    "zeros": lambda file: file.write_bytes(bytes(file.stat().st_size)),
    "a bit of the cells": flip_unseen,
    "a bit of the table": flip(-100),
    "a bit of the end": flip(-10),
    "another time": lambda file: os.utime(file),
    "a folder": lambda file: (file.unlink(), file.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_made_again(folder, model, caplog, damage):
    expected = answer(model)
    [file] = packed(folder)
    DAMAGE[damage](file)
    said(caplog)
    assert answer(model) == expected
    if damage == "a folder":
        assert said(caplog) == ["Unpacking"]
        return
    assert said(caplog) == ["Unpacking", "Kept"]
    assert answer(model) == expected
    assert said(caplog) == ["Mapped"]


def test_the_file_of_another_model_is_not_used(folder, model, tmp_path, caplog):
    answer(model)
    other = written(tmp_path / "other.gguf", "Llama 2")
    answer(other)
    first, second = packed(folder)
    shutil.copy2(first, second)
    said(caplog)
    expected = answer(other, most=0)
    assert answer(other) == expected
    assert said(caplog) == ["Unpacking", "Kept"]


def test_a_changed_model_is_unpacked(folder, model, caplog):
    before, status = answer(model), model.stat()
    whole = bytearray(model.read_bytes())
    # From the middle of the weights on, the second byte of each float32.
    whole[len(whole) // 2 + 1 :: 4] = whole[: len(whole) // 2 - 1 : 4]
    model.write_bytes(whole[: status.st_size])
    os.utime(model, ns=(status.st_atime_ns, status.st_mtime_ns))
    said(caplog)
    after = answer(model)
    assert said(caplog) == ["Kept"]
    assert after == answer(model, most=0) != before


def test_the_least_recently_used_files_leave(folder, model, monkeypatch, tmp_path):
    answer(model)
    [first] = packed(folder)
    other = written(tmp_path / "other.gguf", "Qwen3-MoE")
    answer(other)
    [second] = {*packed(folder)} - {first}
    monkeypatch.setattr(loader, "GB", sum(file.stat().st_size for file in (first, second)))
    answer(model)  # the first is now the last used
    answer(written(tmp_path / "third.gguf", "Llama 2"))
    assert first in packed(folder)
    assert second not in packed(folder)
    assert len(packed(folder)) == 2


def test_a_model_keeps_one_file(folder, model, tmp_path, monkeypatch):
    answer(model)
    [first] = packed(folder)
    other = written(tmp_path / "other.gguf", "Llama 2")
    answer(other)
    monkeypatch.setattr(packed_cache, "own_code", lambda *rooms: "of a newer version")
    answer(model)
    assert first not in packed(folder)
    assert len(packed(folder)) == 2


def test_a_file_larger_than_the_limit_is_not_kept(folder, model, monkeypatch):
    monkeypatch.setattr(loader, "GB", 1000)
    assert answer(model)
    assert not folder.exists()


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_a_line_of_the_log(folder, model, monkeypatch, caplog):
    monkeypatch.setattr(os, "posix_fallocate", full)
    assert answer(model)
    assert "No space left" in caplog.text
    assert said(caplog) == ["Cannot"]
    assert not packed(folder)


def test_a_disk_with_little_space_is_left_alone(folder, model, monkeypatch, caplog):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100_000))
    assert answer(model)
    assert said(caplog) == ["Cannot"]
    assert not packed(folder)


def test_a_folder_that_cannot_be_made_is_a_line_of_the_log(folder, model, caplog):
    folder.write_text("not a folder")
    assert answer(model)
    assert said(caplog) == ["Unpacking", "Cannot"]


def test_what_a_killed_process_left_is_removed(folder, model):
    folder.mkdir(parents=True)
    (folder / "0123.part").write_bytes(b"half")
    answer(model)
    assert not [*folder.glob("*.part")]
    assert len(packed(folder)) == 1


LOAD = """
import ctypes, sys
from pathlib import Path
from minikin.config import EngineSettings
from minikin.engine import packed_cache
from minikin.engine.model.architecture import Architecture
from minikin.engine.model.shelf import Shelf
from minikin.engine.model.weights import load_weights
from minikin.engine.native.kernels import Kernels
from minikin.engine.packed_cache import PackedCache
from minikin.model_file.model_file import open_model_file
packed_cache.LEAST_BYTES = 1
file, kernels = open_model_file(Path(sys.argv[1])), Kernels(ctypes.CDLL(sys.argv[2]), 1)
cache = PackedCache(file, file.digest(), kernels, 10**9)
print("ready", flush=True)
input()
shelf = Shelf(cache.read())
load_weights(file, Architecture.read(file, 256), kernels, shelf)
if not shelf.is_whole:
    cache.write_later(shelf.matrices).join()
print(b"".join(one.cells.tobytes() for one in shelf.matrices).hex())
"""


def test_processes_that_start_together_agree(folder, model):
    starting = [
        subprocess.Popen(
            [sys.executable, "-c", LOAD, str(model), LIBRARY._name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    for process in starting:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    first, second = (process.communicate("\n")[0] for process in starting)
    assert len(first) > 1000
    assert first == second
    assert len(packed(folder)) == 1
    assert not [*folder.glob("*.part")]
