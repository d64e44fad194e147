from __future__ import annotations

from pathlib import Path

import pytest

from minikin.errors import DownloadError
from minikin.hub.transfer import download

from .conftest import PAYLOAD, FileServer, Recorder, sha256


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where the file is to end up."""
    (tmp_path / "model").mkdir()
    return tmp_path / "model" / "m.gguf"


def part_of(target: Path) -> Path:
    return target.parents[1] / "m.gguf.part"


def fetch(server: FileServer, target: Path, progress: Recorder, digest: str | None = None) -> None:
    work, url = target.parents[1], f"{server.url}/m.gguf"
    assert download(url, work, "m.gguf", sha256=digest, progress=progress) == target


def test_whole(server: FileServer, target: Path, progress: Recorder):
    server.files["/m.gguf"] = PAYLOAD
    fetch(server, target, progress, sha256(PAYLOAD))
    assert target.read_bytes() == PAYLOAD
    assert sorted(path.name for path in target.parents[1].rglob("*")) == ["m.gguf", "model"]
    assert progress.begun == [("m.gguf", len(PAYLOAD))]
    assert progress.reached[-1] == len(PAYLOAD)


def test_a_redirect_to_another_path_is_followed(
    server: FileServer, target: Path, progress: Recorder
):
    server.redirects["/m.gguf"] = "/elsewhere"
    server.files["/elsewhere"] = PAYLOAD
    fetch(server, target, progress)
    assert target.read_bytes() == PAYLOAD


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9/x", "http://localhost:9/x", "http://169.254.169.254/latest",
                "http://[::1]:9/x", "http://10.0.0.1/x", "http://2130706433:9/x"]
)  # fmt: skip
def test_a_redirect_into_the_network_is_refused(
    server: FileServer, target: Path, progress: Recorder, address: str
):
    server.redirects["/m.gguf"] = address
    with pytest.raises(DownloadError, match="redirects to"):
        fetch(server, target, progress)
    assert not target.exists()


def test_cut_connection_is_taken_up_where_it_broke(
    server: FileServer, target: Path, progress: Recorder
):
    server.files["/m.gguf"] = PAYLOAD
    server.cut_after = [300_000, 200_000]
    fetch(server, target, progress, sha256(PAYLOAD))
    assert target.read_bytes() == PAYLOAD
    assert [wanted for _, wanted in server.requests] == [None, "bytes=300000-", "bytes=500000-"]


def test_a_later_run_resumes(server: FileServer, target: Path, progress: Recorder):
    server.files["/m.gguf"] = PAYLOAD
    server.cut_after = [300_000, 0, 0, 0, 0, 0]
    with pytest.raises(DownloadError, match="The download resumes"):
        fetch(server, target, progress)
    assert not target.exists()
    server.cut_after.clear()
    server.requests.clear()
    fetch(server, target, progress)
    assert target.read_bytes() == PAYLOAD
    assert server.requests == [("/m.gguf", "bytes=300000-")]


def test_another_version_starts_anew(server: FileServer, target: Path, progress: Recorder):
    server.files["/m.gguf"] = b"old" * 100_000
    server.cut_after = [1000, 0, 0, 0, 0, 0]
    with pytest.raises(DownloadError):
        fetch(server, target, progress)
    server.files["/m.gguf"], server.etag, server.cut_after = PAYLOAD, '"v2"', []
    fetch(server, target, progress)
    assert target.read_bytes() == PAYLOAD


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_a_file_that_may_have_changed_is_not_pieced_together(
    server: FileServer, target: Path, progress: Recorder, etag: str | None
):
    server.files["/m.gguf"] = PAYLOAD
    server.etag, server.cut_after = etag, [1000]
    fetch(server, target, progress)
    assert target.read_bytes() == PAYLOAD
    assert [wanted for _, wanted in server.requests] == [None, None]


def test_server_without_ranges(server: FileServer, target: Path, progress: Recorder):
    server.files["/m.gguf"] = PAYLOAD
    server.ranges, server.cut_after = False, [1000]
    fetch(server, target, progress)
    assert target.read_bytes() == PAYLOAD


def test_part_that_is_already_whole(server: FileServer, target: Path, progress: Recorder):
    server.files["/m.gguf"] = PAYLOAD
    server.cut_after = [1000]
    fetch(server, target, progress)
    target.rename(part_of(target))
    part_of(target).with_name("m.gguf.part.origin").write_text(
        f'{{"url": "{server.url}/m.gguf", "validator": "\\"v1\\""}}'
    )
    fetch(server, target, progress)
    assert target.read_bytes() == PAYLOAD


def test_wrong_digest_leaves_nothing(server: FileServer, target: Path, progress: Recorder):
    server.files["/m.gguf"] = PAYLOAD
    with pytest.raises(DownloadError, match="SHA-256"):
        fetch(server, target, progress, sha256(b"other"))
    assert not target.exists()
    assert not part_of(target).exists()


def test_busy_server_is_asked_again(server: FileServer, target: Path, progress: Recorder):
    server.files["/m.gguf"] = PAYLOAD
    server.statuses = [503, 429]
    fetch(server, target, progress)
    assert target.read_bytes() == PAYLOAD
    assert progress.notes == [
        "The server returned status 503. Trying again.",
        "The server returned status 429. Trying again.",
    ]


@pytest.mark.parametrize(
    ("status", "advice"), [(401, "login"), (403, "denies"), (404, "Check the URL")]
)
def test_final_answers_say_what_to_do(
    server: FileServer, target: Path, progress: Recorder, status: int, advice: str
):
    server.statuses = [status]
    with pytest.raises(DownloadError, match=advice):
        fetch(server, target, progress)
    assert len(server.requests) == 1


def test_offline(target: Path, progress: Recorder):
    with pytest.raises(DownloadError, match="Check the network"):
        download("http://127.0.0.1:1/m.gguf", target, "m.gguf", sha256=None, progress=progress)


def test_full_disk(
    server: FileServer, target: Path, progress: Recorder, monkeypatch: pytest.MonkeyPatch
):
    server.files["/m.gguf"] = PAYLOAD
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(DownloadError, match=r"disk of .* is full: 1 MB are needed"):
        fetch(server, target, progress)


def test_messages_show_no_secret(server: FileServer, target: Path, progress: Recorder):
    url = server.url.replace("http://", "http://me:hunter2@")
    with pytest.raises(DownloadError) as caught:
        download(f"{url}/m.gguf?sig=hunter2", target, "m.gguf", sha256=None, progress=progress)
    assert "hunter2" not in caught.value.message
