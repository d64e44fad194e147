"""The chat's own server, if none is running."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx

from minikin.cli.configuration import PREFIX
from minikin.cli.output import errors
from minikin.errors import SetupError

_START_SECONDS = 300
_STOP_SECONDS = 10
_OPTIONS = f"{PREFIX}_SERVE_"


@contextmanager
def chat_server(model: str, cache: Path) -> Iterator[str]:
    """Serve `model` on a free local port while the block runs. Yields the base URL.

    Raises SetupError with the last lines of the server's log if it does not become ready.
    """
    port = _free_port()
    command = [sys.executable, "-m", "minikin", "--config", os.devnull]
    command += ["serve", "--model", model, "--port", str(port), "--cache", str(cache)]
    with tempfile.TemporaryFile() as log:
        # In its own session: Ctrl-C in the chat stops an answer, not the server.
        server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=_without_options(),
        )
        try:
            with errors.status(f"Starting {model}"):
                _wait_until_ready(server, port, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            _stop(server)


def _without_options() -> dict[str, str]:
    """The environment without options of the user's own server, such as its address and keys."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OPTIONS)}


def _wait_until_ready(server: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/ready", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass  # not listening yet
        time.sleep(0.1)
    log.seek(0)
    last = log.read().decode(errors="replace").strip().splitlines()[-8:]
    raise SetupError("\n".join(["The server did not start. The end of its log:", *last]))


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.send_signal(signal.SIGTERM)
    try:
        server.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
