"""The proxies of deploy/, before servers of a test. A test is skipped without their programs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.patience import until
from tests.processes import free_port
from tests.real_model import ROOT

PROXIES = ("haproxy", "nginx")


@contextmanager
def running_proxy(
    name: str, urls: list[str], folder: Path, *, spreads: bool = True
) -> Iterator[str]:
    """`name` with its file of deploy/, before two servers. Yields its address when it answers.

    Without `spreads`, HAProxy does not compare the loads of the servers. On a busy machine, it
    can still count a request that its client sees as answered, and send the next one elsewhere.
    """
    if shutil.which(name) is None:
        pytest.skip(f"this machine has no {name}: install it, or run .ci/run as root on Debian")
    port = free_port()
    addresses = [f"127.0.0.1:{port}", *(url.removeprefix("http://") for url in urls)]
    file = folder / f"{name}.cfg"
    text = _with(addresses, _read(name))
    file.write_text(
        text if spreads else text.replace("hash-balance-factor", "# hash-balance-factor")
    )
    process = subprocess.Popen(_command(name, file, folder), stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: _answers(url))
        yield url
    finally:
        process.terminate()
        process.wait(60)


def _read(name: str) -> str:
    return (ROOT / "deploy" / {"haproxy": "haproxy.cfg", "nginx": "nginx.conf"}[name]).read_text()


def _with(addresses: list[str], text: str) -> str:
    """The configuration with these addresses, the proxy's first."""
    for at, address in enumerate(addresses):
        assert f"127.0.0.1:800{at}" in text
        text = text.replace(f"127.0.0.1:800{at}", address)
    # A busy machine answers a check late.
    checks = "    default-server check"
    return text.replace(checks, f"    timeout check 30s\n{checks}")


def _command(name: str, file: Path, folder: Path) -> list[str]:
    if name == "haproxy":
        return ["haproxy", "-db", "-q", "-f", str(file)]
    return ["nginx", "-c", str(file), "-p", str(folder), "-e", "stderr", "-g",
            f"daemon off; pid {folder}/nginx.pid;"]  # fmt: skip


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready").status_code == 200
    except httpx.TransportError:
        return False
