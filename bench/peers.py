"""Servers to compare: each a process of its own, in an environment of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

READY_SECONDS = 180.0
SLOTS = 32
"""Answers that a server computes side by side."""

XLLAMACPP = """
import sys, time, xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.n_ctx, params.n_parallel = {context}, {slots}
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = {threads}
params.hostnames, params.port = ["127.0.0.1"], int(sys.argv[2])
server = xllamacpp.Server(params)
while True:
    time.sleep(60)
"""


@dataclass(frozen=True)
class Server:
    """A running server."""

    name: str
    url: str
    ready_seconds: float
    pid: int

    def memory_mib(self) -> float:
        """Resident memory of the process and its children."""
        pids, total = [self.pid], 0.0
        while pids:
            pid = pids.pop()
            status = Path(f"/proc/{pid}/status").read_text()
            line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
            total += int(line.split()[1]) / 1024
            pids += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return total


def minikin_command(model: Path, port: int) -> list[str]:
    """This checkout's server."""
    return [sys.executable, "-m", "minikin", "serve", "--model", str(model), "--port", str(port)]


def xllamacpp_command(python: Path, model: Path, port: int) -> list[str]:
    """llama.cpp's server, from the xllamacpp installed beside `python`; 2,048 tokens a slot."""
    script = XLLAMACPP.format(context=2048 * SLOTS, slots=SLOTS, threads=os.cpu_count())
    return [str(python), "-c", script, str(model), str(port)]


@contextmanager
def running(name: str, command: list[str], port: int) -> Iterator[Server]:
    """Start a server, wait until it answers, end it after the block."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        while not _answers(url):
            if process.poll() is not None or time.perf_counter() - started > READY_SECONDS:
                raise RuntimeError(f"{name} did not get ready")
            time.sleep(0.05)
        yield Server(name, url, time.perf_counter() - started, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _answers(url: str) -> bool:
    body = {
        "model": "gpt-4.1-mini",
        "messages": [{"role": "user", "content": "a"}],
        "max_tokens": 1,
    }
    try:
        answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=30)
    except httpx.TransportError:
        return False
    return answer.status_code == 200
