"""Finished answers while another program locks the database."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from minikin.api.routes import keeping
from tests.patience import PATIENCE, until

HELLO = "Hi"
ROUTES = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": HELLO}], "store": True},
    "/v1/responses": {"input": HELLO},
}


@pytest.fixture
def server(serve, location, monkeypatch):
    server = serve(database=location)
    for route in ROUTES:
        assert "warning" not in ask(server, route).headers
    monkeypatch.setattr(keeping, "KEEP_SECONDS", 0.3)
    return server


@contextmanager
def locked(location):
    """Another program writes, for as long as the block runs."""
    if "://" not in location:
        other = sqlite3.connect(location, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")
        other.close()
        return
    import asyncpg

    loop = asyncio.new_event_loop()
    other = loop.run_until_complete(asyncpg.connect(location))
    loop.run_until_complete(other.execute("BEGIN; LOCK TABLE completions, responses, items"))
    yield
    loop.run_until_complete(other.close())
    loop.close()


def ask(server, route, **more):
    body = {"model": "gpt-4.1-mini", **ROUTES[route], **more}
    answer = httpx.post(f"{server.url}{route}", json=body, timeout=PATIENCE)
    assert answer.status_code == 200, answer.text
    return answer


def stored(server, route, identifier):
    return httpx.get(f"{server.url}{route}/{identifier}", timeout=PATIENCE).status_code == 200


def says_so(answer):
    return "could not store it" in answer.headers.get("warning", answer.text)


@pytest.mark.parametrize("route", ROUTES)
def test_answers_do_not_wait_for_a_locked_database(server, location, route):
    with locked(location), ThreadPoolExecutor(6) as pool:
        begun = time.monotonic()
        plain = [pool.submit(ask, server, route) for _ in range(3)]
        streams = [pool.submit(ask, server, route, stream=True) for _ in range(3)]
        answers = [each.result() for each in plain + streams]
        assert time.monotonic() - begun < 10  # one lock alone took 30 seconds, and the turn 30
    assert all(map(says_so, answers))
    assert not any(stored(server, route, each.result().json()["id"]) for each in plain)
    until(lambda: "warning" not in ask(server, route).headers)
    again = ask(server, route)
    assert not says_so(again)
    assert stored(server, route, again.json()["id"])


def test_a_background_response_that_is_not_stored_can_be_read(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(keeping, "KEEP_SECONDS", 0.3)
    server = serve(database=str(tmp_path / "store.sqlite3"))
    put, calls = server.service.store.responses.put, []

    async def slow(*given, **named):
        calls.append(given)
        await (put(*given, **named) if len(calls) == 1 else asyncio.sleep(PATIENCE))

    monkeypatch.setattr(server.service.store.responses, "put", slow)
    made = ask(server, "/v1/responses", background=True).json()

    def status():
        url = f"{server.url}/v1/responses/{made['id']}"
        return httpx.get(url, timeout=PATIENCE).json()["status"]

    until(lambda: len(calls) == 2 and status() == "completed")
    time.sleep(1)
    assert status() == "completed"
