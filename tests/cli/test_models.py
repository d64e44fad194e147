from __future__ import annotations

from pathlib import Path

from minikin.hub.cache import ModelCache

from .conftest import Minikin, Server

PAYLOAD = b"GGUF" * 250_000


class Silent:
    """A Progress that shows nothing."""

    def begin(self, label: str, total: int | None) -> None: ...

    def reach(self, done: int) -> None: ...

    def note(self, text: str) -> None: ...


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


def test_pull_of_what_is_not_there(minikin: Minikin, server: Server):
    run = minikin("pull", f"{server.url}/tiny.gguf")
    assert run.returncode == 1
    assert run.stdout == ""
    assert "There is no such file; check the address." in run.stderr


def test_models_lists_known_and_present(minikin: Minikin, tmp_path: Path):
    cache = ModelCache(tmp_path / "cache")
    with cache.filling("tiny", Silent()) as work:
        (work / "tiny.gguf").write_bytes(PAYLOAD)
        cache.commit(work, work / "tiny.gguf", source="https://host/tiny.gguf")
    run = minikin("models")
    known, tiny = run.stdout.splitlines()[1:]
    assert known.split() == ["smollm2-135m-instruct", "98", "MB", "llama", "Q4_1", "8,192", "no"]
    assert tiny.split() == ["tiny", "1", "MB", "yes"]
    assert str(cache.models_folder) in run.stderr
