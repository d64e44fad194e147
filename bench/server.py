"""A server of its own for a measurement, with its processes in view."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.processes import children, free_port

STOP_SECONDS = 120.0


@dataclass
class Server:
    """A running server."""

    url: str
    process: subprocess.Popen[bytes]

    @property
    def processes(self) -> dict[str, int]:
        """The processes of the server by their roles. Workers get numbers."""
        found = {"http": self.process.pid}
        for pid, words in children(self.process.pid).items():
            role = next((word.rpartition(".")[2] for word in words if "minikin." in word), "other")
            found[role if role not in found else f"{role} {len(found)}"] = pid
        return found

    def is_ready(self) -> bool:
        """Whether it answers requests."""
        try:
            return httpx.get(f"{self.url}/ready", timeout=10).status_code == 200
        except httpx.TransportError:
            return False

    def wait_ready(self) -> float:
        """Wait for it. Returns the seconds that it took. Raises RuntimeError if it ended."""
        begun = time.perf_counter()
        while not self.is_ready():
            if self.process.poll() is not None:
                raise RuntimeError("the server ended")
            time.sleep(0.05)
        return time.perf_counter() - begun


def is_running(pid: int) -> bool:
    """Whether a process runs. One that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process so far. 0 if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def starting(
    model: str, *options: str, program: str = "minikin", log: Any = None
) -> Iterator[Server]:
    """A server of this model that loads, with a database of its own. It logs to `log`, if given."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        where = ("--database", f"{folder}/store.sqlite3", "--files", f"{folder}/files")
        command = (sys.executable, "-m", program, "serve", model, "--port", str(port))
        process = subprocess.Popen(
            [*command, *where, *options], stdout=subprocess.DEVNULL, stderr=log
        )
        try:
            yield Server(f"http://127.0.0.1:{port}", process)
        finally:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGTERM)
            process.wait(STOP_SECONDS)


@contextmanager
def serving(model: str, *options: str, **more: Any) -> Iterator[Server]:
    """The same, ready."""
    with starting(model, *options, **more) as server:
        server.wait_ready()
        yield server
