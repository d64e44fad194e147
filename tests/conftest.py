"""What tests of several rooms need: servers with real sockets, and the real default model."""

from __future__ import annotations

import asyncio
import functools
import gc
from pathlib import Path
from types import SimpleNamespace

import httpx._transports.default
import pytest
import uvicorn.server
from httpx._config import DEFAULT_TIMEOUT_CONFIG

from minikin.api.routes import keeping
from tests import postgresql
from tests.fakes import ScriptedEngine, live_server
from tests.openai_clients import close_clients
from tests.patience import PATIENCE
from tests.real_model import default_model


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files begin first, so that no process computes alone in the end."""
    items.sort(key=lambda item: item.get_closest_marker("thorough") is None)


@pytest.fixture(scope="session", autouse=True)
def patient_clients():
    """A busy machine answers late: a client waits for longer than httpx's 5 seconds."""
    with pytest.MonkeyPatch.context() as patch:
        for part in ("connect", "read", "write", "pool"):
            patch.setattr(DEFAULT_TIMEOUT_CONFIG, part, PATIENCE)
        patch.setattr(keeping, "KEEP_SECONDS", PATIENCE)  # and a busy disk writes late
        yield


@pytest.fixture(scope="session", autouse=True)
def light_clients():
    """Clients share the certificates: to read these takes longer than most requests."""
    transports = httpx._transports.default
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            transports, "create_ssl_context", functools.cache(transports.create_ssl_context)
        )
        yield


@pytest.fixture(scope="session", autouse=True)
def prompt_servers():
    """A server in a thread ends at once: uvicorn sleeps for 0.2 seconds before it does."""
    quick = SimpleNamespace(**vars(asyncio) | {"sleep": lambda span: asyncio.sleep(span / 10)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uvicorn.server, "asyncio", quick)
        yield


@pytest.fixture(scope="module", autouse=True)
def nothing_left_open():
    """What a file leaves open fails there, not where the garbage collector happens to find it.

    What is left is left for good. A collection that visits all of it takes a tenth of a second.
    """
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def closed_clients():
    """No test leaves a client of OpenAI's open."""
    yield
    close_clients()


@pytest.fixture(scope="session")
def shared_server():
    """One server for all tests that leave nothing behind."""
    with live_server(ScriptedEngine()) as server:
        yield server


@pytest.fixture
def serve():
    """Start servers with settings and scripts of the test's own."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def start(engine: ScriptedEngine | None = None, **options):
            return stack.enter_context(live_server(engine or ScriptedEngine(), **options))

        yield start


@pytest.fixture(scope="session")
def model_path() -> Path:
    """The real default model, for tests marked `model`."""
    return default_model()


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server of the tests' own."""
    with postgresql.running() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def location(request, tmp_path) -> str:
    """An empty database of each kind, as `--database` names it."""
    if request.param == "sqlite":
        return str(tmp_path / "data" / "store.sqlite3")
    return request.getfixturevalue("postgres").new_database()
