"""Programs that tests start and end."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def free_port() -> int:
    """A port that nothing uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def children(pid: int) -> dict[int, list[str]]:
    """The processes that `pid` started and that run, with the words of their commands."""
    found = {}
    with suppress(OSError):  # each can end as we look
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                with suppress(OSError):
                    command = Path(f"/proc/{child}/cmdline").read_bytes()
                    found[int(child)] = command.decode().split("\0")
    return found


@contextmanager
def ending(process: subprocess.Popen, seconds: float = 60) -> Iterator[None]:
    """End a process by SIGTERM, and kill it if it takes longer."""
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
