from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.patience import PATIENCE, until


def ignores_interrupts(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    ignored = int(status.partition("SigIgn:")[2].split()[0], 16)
    return all(ignored >> (number - 1) & 1 for number in (signal.SIGINT, signal.SIGTERM))


def test_only_the_server_ends_it_also_while_it_starts():
    ours, its = socket.socketpair()
    with ours, its:
        program = [sys.executable, "-m", "minikin.engine_main", str(its.fileno()), "info"]
        process = subprocess.Popen(program, pass_fds=[its.fileno()])
        until(lambda: ignores_interrupts(process.pid))
        assert "libtorch" not in Path(f"/proc/{process.pid}/maps").read_text(), "too late"
    assert process.wait(PATIENCE) == 0, "it ends with the server"
