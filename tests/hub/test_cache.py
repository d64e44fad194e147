from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

import pytest

from minikin.config import cache_folder
from minikin.errors import DownloadError, SetupError
from minikin.hub.cache import CachedModel, ModelCache
from tests.patience import PATIENCE, until

from .conftest import PAYLOAD, Recorder

NULL = b'{"name": "tiny", "source": "", "file": "a\\u0000", "size": 1}'


def fill(cache: ModelCache, name: str = "tiny", payload: bytes = PAYLOAD) -> CachedModel:
    with cache.filling(name, Recorder()) as work:
        (work / "model" / "tiny.gguf").write_bytes(payload)
        (work / "left over").write_bytes(b"")
        return cache.commit(work, "tiny.gguf", source="https://host/tiny.gguf")


def test_folder_follows_xdg_and_minikin_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("MINIKIN_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "minikin"
    monkeypatch.setenv("MINIKIN_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"


def test_found_again(cache: ModelCache):
    assert cache.find("tiny") is None
    filled = fill(cache)
    assert ModelCache(cache.folder).find("tiny") == filled
    assert filled.path.read_bytes() == PAYLOAD
    assert sorted(path.name for path in filled.path.parent.iterdir()) == ["model.json", "tiny.gguf"]
    assert cache.models() == [filled]


def test_found_in_a_folder_that_cannot_be_written(cache: ModelCache):
    fill(cache)
    for folder in [cache.folder, *cache.folder.rglob("*")]:
        if folder.is_dir():
            folder.chmod(0o555)
    assert cache.find("tiny") is not None
    for folder in [cache.folder, *cache.folder.rglob("*")]:
        folder.chmod(0o755)


def test_half_a_fetch_is_never_found_but_kept(cache: ModelCache, progress: Recorder):
    with contextlib.suppress(KeyboardInterrupt), cache.filling("tiny", progress) as work:
        (work / "tiny.gguf.part").write_bytes(PAYLOAD[:1000])
        raise KeyboardInterrupt
    assert cache.find("tiny") is None
    assert cache.models() == []
    assert cache.parts() == ["tiny"]
    with cache.filling("tiny", progress) as work:
        assert (work / "tiny.gguf.part").read_bytes() == PAYLOAD[:1000]


@pytest.mark.parametrize("damage", [PAYLOAD[:-1], PAYLOAD + b"x", b""])
def test_file_of_another_size_is_not_used(cache: ModelCache, damage: bytes):
    fill(cache).path.write_bytes(damage)
    assert cache.find("tiny") is None
    assert fill(cache).path.read_bytes() == PAYLOAD


@pytest.mark.parametrize("record", [b"", b"{}", b"[1]", b'{"name": 1}', b"\xff", NULL])
def test_a_broken_record_is_not_a_model(cache: ModelCache, record: bytes):
    (fill(cache).path.parent / "model.json").write_bytes(record)
    assert cache.find("tiny") is None


@pytest.mark.parametrize("name", ["..", "../models/tiny", "/etc", "", "a/b", "TINY"])
def test_names_stay_in_the_folder(cache: ModelCache, name: str):
    fill(cache)
    assert cache.find(name) is None


def test_two_fetches_take_turns(cache: ModelCache, progress: Recorder):
    inside = threading.Event()

    def first() -> None:
        with cache.filling("tiny", Recorder()):
            inside.set()
            until(lambda: progress.notes)
            inside.clear()

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(PATIENCE)
    with cache.filling("tiny", progress):
        assert not inside.is_set()
    thread.join()
    assert progress.notes == ["Waiting for another minikin process that downloads tiny."]


def test_folder_that_cannot_be_made(tmp_path: Path, progress: Recorder):
    (tmp_path / "file").write_bytes(b"")
    cache = ModelCache(tmp_path / "file" / "cache")
    with (
        pytest.raises(DownloadError, match="--cache or MINIKIN_CACHE"),
        cache.filling("tiny", progress),
    ):
        pass


def test_disk_that_fills_up(cache: ModelCache, progress: Recorder):
    with pytest.raises(DownloadError, match="Free some space"), cache.filling("tiny", progress):
        raise OSError(28, "No space left on device")


def test_a_failure_without_parts_leaves_nothing(cache: ModelCache, progress: Recorder):
    with contextlib.suppress(KeyboardInterrupt), cache.filling("tiny", progress) as work:
        (work / "model" / "half taken out of a wheel").write_bytes(PAYLOAD)
        raise KeyboardInterrupt
    assert cache.parts() == []
    assert sorted(os.listdir(fill(cache).path.parent)) == ["model.json", "tiny.gguf"]


def test_remove(cache: ModelCache, progress: Recorder):
    fill(cache)
    with contextlib.suppress(KeyboardInterrupt), cache.filling("tiny", progress) as work:
        (work / "part").write_bytes(b"12345")
        raise KeyboardInterrupt
    assert cache.remove("tiny", progress) > len(PAYLOAD) + 5
    assert cache.models() == []
    assert cache.parts() == []


@pytest.mark.parametrize("name", ["tiny", "..", "../models", ""])
def test_remove_what_is_not_there(cache: ModelCache, progress: Recorder, name: str):
    fill(cache, "other")
    with pytest.raises(SetupError, match="no model"):
        cache.remove(name, progress)
    assert cache.find("other") is not None
