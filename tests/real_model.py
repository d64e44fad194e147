"""The default model's file, and a server of the command's own on it."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from minikin.config import cache_folder
from minikin.hub.cache import ModelCache
from minikin.hub.fetch import locate
from minikin.hub.known import DEFAULT_MODEL
from tests.processes import children, ending, free_port

ROOT = Path(__file__).resolve().parent.parent


class Quiet:
    """A progress without output."""

    def begin(self, label, total):
        pass

    def reach(self, done):
        pass

    def note(self, text):
        pass


def default_model() -> Path:
    """MINIKIN_TEST_MODEL, or the default model from the user's cache, fetched if need be."""
    if given := os.environ.get("MINIKIN_TEST_MODEL"):
        return Path(given)
    return locate(DEFAULT_MODEL, ModelCache(cache_folder()), Quiet()).path


@dataclass
class RunningServer:
    url: str
    process: subprocess.Popen
    verify: ssl.SSLContext | bool = True
    """What its certificate must fit."""

    def engine_pid(self) -> int:
        for pid, words in children(self.process.pid).items():
            if "minikin.engine_main" in words:
                return pid
        raise AssertionError("there is no engine process")

    def cpu_seconds(self) -> float:
        """What the HTTP process has spent so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wait_ready(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.url}/ready", verify=self.verify).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            assert self.process.poll() is None, "the server ended"
            time.sleep(0.05)
        raise AssertionError(f"not ready after {seconds} s")


@contextmanager
def real_server(*options: str, log=None, tls: Path | None = None):
    """`minikin serve` with its default model on a free port. It logs to `log`, if given.

    On a slow machine, it refuses nothing because of the time that earlier requests needed.

    `tls`: a file with a certificate for 127.0.0.1 and its key.
    """
    port = free_port()
    command = [sys.executable, "-m", "minikin", "serve", "--port", str(port)]
    command += ["--queue-timeout", "600", *options]
    command += ["--tls-certificate", str(tls)] if tls else []
    process = subprocess.Popen(command, cwd=ROOT / "src", stdout=subprocess.DEVNULL, stderr=log)
    server = RunningServer(f"http://127.0.0.1:{port}", process)
    if tls:
        trusted = ssl.create_default_context(cafile=tls)
        server = RunningServer(f"https://127.0.0.1:{port}", process, trusted)
    with ending(process):
        server.wait_ready(300)
        yield server
