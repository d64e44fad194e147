"""A PostgreSQL server of the tests' own, if the machine has its programs.

It runs in a temporary folder, accepts one password over loopback, and ends with the tests. As root
it runs as the user postgres or nobody, because PostgreSQL refuses to run as root.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_HOMES = Path("/usr/lib/postgresql")


class PostgreSQL:
    """A running server. Each test gets a new database."""

    def __init__(self, port: int, password: str) -> None:
        self._port = port
        self._password = password

    def new_database(self) -> str:
        """The URL of an empty database."""
        import asyncio

        import asyncpg

        name = f"test_{secrets.token_hex(8)}"

        async def create() -> None:
            connection = await asyncpg.connect(self._url("postgres"))
            await connection.execute(f"CREATE DATABASE {name}")
            await connection.close()

        # In a thread, because a test may have a running loop.
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, create()).result()
        return self._url(name)

    def _url(self, database: str) -> str:
        return f"postgresql://minikin:{self._password}@127.0.0.1:{self._port}/{database}"


@contextlib.contextmanager
def running() -> Iterator[PostgreSQL]:
    """Start a server and stop it at the end. Skips the test if the machine cannot run one."""
    programs = _programs()
    with tempfile.TemporaryDirectory(prefix="minikin-postgresql-") as folder, _port() as port:
        home, user = Path(folder), _user()
        password = secrets.token_hex(16)
        (home / "password").write_text(password)
        for path in (home, home / "password"):
            if user:
                shutil.chown(path, user)
        _run(
            [
                programs / "initdb", "--pgdata", home / "data", "--username", "minikin",
                "--auth", "scram-sha-256", "--pwfile", home / "password", "--no-sync",
                "--encoding", "UTF8", "--locale", "C",
            ],
            user,
        )  # fmt: skip
        options = f"-p {port} -c listen_addresses=127.0.0.1 -k {home} -c fsync=off"
        control = [programs / "pg_ctl", "--pgdata", home / "data", "--wait"]
        _run([*control, "--log", home / "log", "--options", options, "start"], user)
        try:
            yield PostgreSQL(port, password)
        finally:
            _run([*control, "--mode", "immediate", "stop"], user)


def _programs() -> Path:
    """The folder of `initdb` and `pg_ctl`. Skips the test if there is none."""
    versions = sorted(_HOMES.glob("*/bin"), key=lambda path: int(path.parent.name))
    if found := shutil.which("initdb"):
        versions.append(Path(found).parent)
    if not versions:
        pytest.skip("this machine has no PostgreSQL: install it, or run .ci/run as root on Debian")
    if os.geteuid() == 0 and not _user():
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody")
    return versions[-1]


def _user() -> str | None:
    """The user for the server if the tests run as root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in names), None)


@contextlib.contextmanager
def _port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    yield port


def _run(command: list[object], user: str | None) -> None:
    words = [str(word) for word in command]
    done = subprocess.run(
        words, user=user, cwd="/", capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{words[0]}: {done.stdout}{done.stderr}"
