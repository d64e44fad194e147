"""One cluster for all tests: two engines and two edges on this machine, with PostgreSQL."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from bench.server import children, cpu_seconds
from minikin.cluster.run import ENVIRONMENT
from tests.patience import until
from tests.processes import ending, free_port
from tests.real_model import ROOT

START_SECONDS = 300
STARTS = 6
LOOK_SECONDS = 0.5
"""How often a test looks whether a cluster has come so far. Looking takes time from it."""
MOMENT = 0.3
"""Seconds in which the work of replicas is compared."""
_ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
OPTIONS = ("--replicas", "2", "--edges", "2", "--threads", "1")


class Cluster:
    """A running `minikin cluster`."""

    def __init__(self, port: int, database: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._port, self._database = port, database
        self._command = [
            sys.executable, "-m", "minikin", "cluster", *OPTIONS, "--port", str(port),
            "--database", database,
        ]  # fmt: skip

    def start(self, log) -> subprocess.Popen:
        return subprocess.Popen(self._command, cwd=ROOT, env=_ENVIRONMENT, stdout=log, stderr=log)

    def update(self, *options: str) -> None:
        """Replace all replicas by new ones with other options."""
        command = [*self._command, "--address", "auto", *options]
        subprocess.run(command, cwd=ROOT, env=_ENVIRONMENT, check=True, timeout=START_SECONDS)

    def deploy(self, file: Path, folder: Path) -> None:
        """Replace all replicas by those of a file for Ray Serve, on this cluster's port."""
        config = yaml.safe_load(file.read_text())
        config["http_options"]["port"] = self._port
        config["applications"][0]["args"] |= {"threads": 1, "database": self._database}
        changed = folder / file.name
        changed.write_text(yaml.safe_dump(config))
        program = str(Path(sys.executable).parent / "serve")
        command = [program, "run", "--address", "auto", "--non-blocking", str(changed)]
        environment = _ENVIRONMENT | ENVIRONMENT
        subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=START_SECONDS)

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/v1/models").status_code == 200
        except httpx.TransportError:
            return False

    def pids(self, deployment: str) -> list[int]:
        """The processes of a deployment's replicas."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                words = words_of(folder / "cmdline")
                if words.startswith("ray::ServeReplica:minikin:") and deployment in words:
                    found.append(int(folder.name))
        return found

    def busiest(self, deployment: str) -> int:
        """The process of the replica that computes most now, itself or its engine."""
        pids = self.pids(deployment)
        before = {pid: _cpu_seconds(pid) for pid in pids}
        time.sleep(MOMENT)
        spent = {pid: _cpu_seconds(pid) - before[pid] for pid in pids}
        busiest = max(pids, key=spent.__getitem__)
        assert spent[busiest] > 0, "no replica computes"
        return busiest


def _cpu_seconds(pid: int) -> float:
    """Of a process and its children."""
    return cpu_seconds(pid) + sum(map(cpu_seconds, children(pid)))


def words_of(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""


@pytest.fixture(scope="session")
def cluster(postgres, tmp_path_factory):
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: make test-cluster installs it")
    running = Cluster(free_port(), postgres.new_database())
    with _started(running, tmp_path_factory.mktemp("cluster") / "log"):
        yield running


@contextmanager
def _started(running: Cluster, log: Path) -> Iterator[None]:
    """A cluster that answers. Ray gives up when its own processes need more than 15 seconds, which
    a busy machine can need."""
    with log.open("w") as output:
        for _ in range(STARTS):
            process = running.start(output)
            with ending(process):
                if _stays(running, process):
                    yield
                    return
    raise AssertionError(log.read_text())


def _stays(running: Cluster, process: subprocess.Popen) -> bool:
    """Wait until it answers. Returns False if it ends instead."""
    until(
        lambda: running.answers() or process.poll() is not None, START_SECONDS, pause=LOOK_SECONDS
    )
    return process.poll() is None
