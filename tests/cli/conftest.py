"""A scripted server on loopback, and the command as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.own_cache import own_cache
from tests.real_model import ROOT

SRC = ROOT / "src"


def chunk(text: str = "", finish: str | None = None) -> dict[str, Any]:
    delta = {"content": text} if text else {}
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": None}


USAGE = {"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}}


@dataclass
class Server:
    """Serves a few files, and answers each chat request with the next of `answers`."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    """Path -> the content to download."""
    answers: list[list[dict[str, Any] | str]] = field(default_factory=list)
    """Events: chunks or raw lines. The first can be a status and its body instead."""
    pause: float = 0
    """Seconds between two events."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    needs_key: str | None = None

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def say(self, *texts: str) -> None:
        """Make `texts`, well formed, the next answer."""
        self.answers.append([*map(chunk, texts), chunk(finish="stop"), USAGE, "data: [DONE]"])


class _Handler(BaseHTTPRequestHandler):
    state: Server

    def log_message(self, *_args: object) -> None:
        pass

    def do_GET(self) -> None:
        key = self.state.needs_key
        if key and self.headers.get("Authorization") != f"Bearer {key}":
            self._send(401, b'{"error": {"message": "You did not provide an API key."}}')
        elif self.path == "/v1/models":
            models = [{"id": "tiny", "context_length": 8192}, {"id": "gpt-4.1-mini"}]
            self._send(200, json.dumps({"object": "list", "data": models}).encode())
        else:
            self._send(
                200 if self.path in self.state.files else 404, self.state.files.get(self.path, b"")
            )

    def do_POST(self) -> None:
        state = self.state
        state.keys.append(self.headers.get("Authorization"))
        state.requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        events = state.answers.pop(0)
        if isinstance(events[0], dict) and "status" in events[0]:
            self._send(events[0]["status"], json.dumps(events[0]["body"]).encode())
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.end_headers()
        for event in events:
            line = event if isinstance(event, str) else f"data: {json.dumps(event)}"
            try:
                self.wfile.write(f"{line}\n\n".encode())
                self.wfile.flush()
            except OSError:  # the client went away
                return
            time.sleep(state.pause)

    def _send(self, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def server() -> Iterator[Server]:
    http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    state = Server(f"http://127.0.0.1:{http.server_port}")
    http.RequestHandlerClass = type("Handler", (_Handler,), {"state": state})
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    http.shutdown()
    thread.join()
    http.server_close()


Minikin = Callable[..., subprocess.CompletedProcess[str]]


def command(*args: str) -> list[str]:
    return [sys.executable, "-m", "minikin", *args]


@pytest.fixture(autouse=True)
def _no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file of the user who runs the tests changes nothing."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment with an empty home."""
    own = {
        "HOME": tmp_path,
        "XDG_STATE_HOME": tmp_path,
        "MINIKIN_CACHE": own_cache(tmp_path / "cache"),
    }
    return os.environ | {"PYTHONPATH": str(SRC)} | {key: str(path) for key, path in own.items()}


@pytest.fixture
def minikin(env: dict[str, str]) -> Minikin:
    """Run `minikin ARGS` to its end. The user types `input`."""

    def run(*args: str, input: str = "", timeout: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*args), input=input, capture_output=True, text=True, env=env, timeout=timeout
        )

    return run
