"""Machines with addresses of their own, on this one: network namespaces with a cable between."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from minikin.cluster.run import ENVIRONMENT
from tests.cluster.conftest import LOOK_SECONDS, START_SECONDS, STARTS, words_of
from tests.patience import until
from tests.real_model import ROOT

CLONE_NEWNET = 0x40000000
OWN_FOLDER = 'mount --bind "$0" /tmp/ray && exec "$@"'
"""Ray finds what runs on its machine in this folder."""
STARTED = "Ray runtime started"
"""What `ray start` prints then."""
_ENVIRONMENT = {
    **os.environ,
    **ENVIRONMENT,
    "RAY_AUTH_MODE": "disabled",
    "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
}


def ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


class Machine:
    """A network namespace with one address, and a folder for Ray and for what programs print."""

    def __init__(self, name: str, address: str, folder: Path) -> None:
        self.name, self.address, self._folder = name, address, folder
        self._ray = folder / "ray"
        self._started: list[subprocess.Popen] = []
        self._ray.mkdir(parents=True)
        Path("/tmp/ray").mkdir(exist_ok=True)

    def ip(self, *words: str) -> None:
        ip("-netns", self.name, *words)

    def start(self, *words: str) -> subprocess.Popen:
        """A module of Python with its arguments."""
        python = (sys.executable, "-m", *words)
        command = ["ip", "netns", "exec", self.name, "sh", "-c", OWN_FOLDER, self._ray, *python]
        with (self._folder / "log").open("a") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=_ENVIRONMENT, stdout=log, stderr=log)
        self._started.append(process)
        return process

    def start_ray(self, *options: str) -> None:
        """Ray's processes of this machine. One engine fits.

        Ray gives up when its own processes need more than 15 seconds, which a busy machine can.
        """
        command = (
            "ray.scripts.scripts", "start", "--block", "--node-ip-address", self.address,
            "--num-cpus", "1", "--object-store-memory", "100000000",
            "--include-log-monitor", "false", "--no-monitor", *options,
        )  # fmt: skip
        for _ in range(STARTS):
            if self._stays(self.start(*command)):
                return
            self.kill()
        raise AssertionError(self.printed)

    def _stays(self, ray: subprocess.Popen) -> bool:
        """Wait until Ray has started. Returns False if it ends instead."""
        before = self.printed.count(STARTED)

        def decided() -> bool:
            return ray.poll() is not None or self.printed.count(STARTED) > before

        until(decided, START_SECONDS, pause=LOOK_SECONDS)
        return ray.poll() is None

    @property
    def printed(self) -> str:
        """What its programs have printed."""
        return (self._folder / "log").read_text()

    def pids(self, program: str = "") -> list[int]:
        """The processes here with these words in their command lines."""
        found = map(int, ip("netns", "pids", self.name).split())
        return [pid for pid in found if program in words_of(Path("/proc", str(pid), "cmdline"))]

    def cut(self) -> None:
        """Let no packet come or go."""
        self.ip("link", "set", "cable", "down")

    def heal(self) -> None:
        """The opposite."""
        self.ip("link", "set", "cable", "up")

    def enter(self) -> None:
        """Let the sockets of this thread be those of the machine."""
        with Path("/run/netns", self.name).open() as namespace:
            libc = ctypes.CDLL(None, use_errno=True)
            failed = libc.setns(namespace.fileno(), CLONE_NEWNET)
            assert not failed, os.strerror(ctypes.get_errno())

    def kill(self) -> None:
        """End everything that runs here, as a loss of power does."""
        until(self._killed, pause=LOOK_SECONDS)
        for process in self._started:
            process.wait()

    def _killed(self) -> bool:
        """Kill the processes of this moment. Returns whether there were none."""
        pids = self.pids()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not pids

    def remove(self) -> None:
        """Remove the machine, with all that runs on it."""
        self.kill()
        ip("netns", "delete", self.name)


@contextmanager
def two_machines(addresses: tuple[str, str], folder: Path) -> Iterator[tuple[Machine, Machine]]:
    """Two machines with a cable between them."""
    made = []
    try:
        for at, address in enumerate(addresses):
            machine = Machine(f"minikin-{os.getpid()}-{at}", address, folder / str(at))
            ip("netns", "add", machine.name)
            made.append(machine)
        first, second = made
        veth = ("type", "veth", "peer", "name", "cable", "netns", second.name)
        first.ip("link", "add", "cable", *veth)
        for machine in made:
            machine.ip("address", "add", f"{machine.address}/24", "dev", "cable")
            machine.ip("link", "set", "lo", "up")
            machine.heal()
        yield first, second
    finally:
        for machine in made:
            machine.remove()
