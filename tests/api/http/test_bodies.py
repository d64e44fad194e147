import asyncio
import json
import socket
import time
from types import SimpleNamespace

import httpx
import pytest
from starlette.requests import Request

from minikin.api.http import bodies
from minikin.api.http.bodies import MAX_VALUES, read_json
from minikin.config import ServerSettings
from minikin.errors import InvalidRequest, Overloaded
from tests.patience import PATIENCE

MEGABYTES = 4 * 1024 * 1024
ASK = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "Hi"}]}


def request(*parts: bytes, then=None):
    """A request whose body arrives in parts."""
    left = list(parts)

    async def receive():
        if not left and then:
            await then()
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left or then)}

    headers = [(b"content-type", b"application/json")]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


def server():
    """What a reader needs of the server."""
    return SimpleNamespace(
        settings=ServerSettings(models=(), max_body_bytes=MEGABYTES), held_bytes=0
    )


def read(body):
    return asyncio.run(read_json(request(body), server(), lambda value: value))


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"[]," * (MEGABYTES // 3 - 2) + b"[]]",
        b"[" + b"{}," * (MEGABYTES // 3 - 2) + b"{}]",
        b"[" + b"1," * (MEGABYTES // 2 - 2) + b"1]",
        b'{"' + b'":{"' * (MEGABYTES // 4 - 2),
        b'["\\\\",' + b'"\\"",' * (MEGABYTES // 5 - 3) + b"1]",
    ],
    ids=["arrays", "objects", "numbers", "nested", "strings with escapes"],
)
def test_a_body_with_too_many_values_is_an_error(body):
    with pytest.raises(InvalidRequest) as caught:
        read(body)
    assert caught.value.code == "json_too_many_values"


@pytest.mark.parametrize("text", ["a,b[{" * 800_000, '\\",[' * 400_000, '"{,' * 800_000])
def test_a_long_text_is_one_value_whatever_is_in_it(text):
    assert read(json.dumps([text]).encode()) == [text]
    assert len(read(json.dumps([text[:99]] * (MAX_VALUES // 100)).encode())) == MAX_VALUES // 100


def test_the_event_loop_runs_while_a_large_body_is_checked():
    def slow(value):
        until = time.thread_time() + 0.5
        while time.thread_time() < until:
            pass
        return value

    async def turns_beside(body):
        reading = asyncio.ensure_future(read_json(request(body), server(), slow))
        turns = 0
        while not reading.done():
            await asyncio.sleep(0.005)
            turns += 1
        return turns

    assert asyncio.run(turns_beside(json.dumps(["x" * 100_000]).encode())) > 3


def test_bodies_that_arrive_together_are_limited_together(monkeypatch):
    monkeypatch.setattr(bodies, "HELD_BYTES", 1000)

    async def run():
        shared, arrived = server(), asyncio.Event()

        async def stuck():
            arrived.set()
            await asyncio.Event().wait()

        slow = asyncio.ensure_future(
            read_json(request(b"[" + b" " * 899, then=stuck), shared, list)
        )
        await arrived.wait()
        assert await read_json(request(b"[1]"), shared, list) == [1]
        with pytest.raises(Overloaded):
            await read_json(request(b" " * 200), shared, list)
        slow.cancel()
        await asyncio.wait([slow])
        assert await read_json(request(b" " * 200 + b"[1]"), shared, list) == [1]

    asyncio.run(run())


def test_clients_that_send_slowly_keep_no_place_from_others(serve):
    server = serve(max_queued=2)
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    port = int(server.url.rpartition(":")[2])
    slow = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) for _ in range(20)]
    for connection in slow:
        connection.sendall(head)
    answer = httpx.post(f"{server.url}/v1/chat/completions", json=ASK, timeout=PATIENCE)
    assert answer.status_code == 200
    for connection in slow:
        connection.close()
