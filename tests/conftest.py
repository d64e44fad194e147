"""Servers for the tests, with the real application and real sockets."""

from __future__ import annotations

import pytest

from tests.fakes import ScriptedEngine, live_server


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
