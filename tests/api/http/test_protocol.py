import json
import re
import socket
import threading
import time
from contextlib import ExitStack

import httpx
import pytest

from minikin.api.http import protocol
from tests.fakes import ScriptedEngine
from tests.patience import PATIENCE, until
from tests.raw_http import HI, connected, parse, post, received

HEAD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
)
GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"


def send(server, *parts: bytes) -> bytes:
    """What comes back before the server closes; b"open" after it if it doesn't."""
    port = int(server.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(PATIENCE)
        answer = b""
        try:
            for part in parts:
                connection.sendall(part)
            while received := connection.recv(65536):
                answer += received
        except TimeoutError:
            return answer + b"open"
        except ConnectionError:
            pass
        return answer


@pytest.mark.parametrize(
    "request_bytes",
    [
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Content-Length: +5\r\n\r\nabcde",
        HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\n{}\n0\n\n",
        b"GET /health HTTP/1.1\nHost: localhost\n\n",
        GET + b"x-request-id: a\r\n FORGED: 1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_requests_that_two_servers_could_read_differently_are_cut_off(shared_server, request_bytes):
    answer = send(shared_server, request_bytes)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert not answer.endswith(b"open")
    told(answer, "not valid HTTP/1.1")


def told(answer: bytes, message: str):
    """Whether the bytes are one answer in the usual envelope, with the common headers."""
    head, _, body = answer.partition(b"\r\n\r\n")
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert message in error["message"]
    assert re.search(rb"x-request-id: req_[0-9a-f]{32}\r\n", head)
    assert b"content-type: application/json\r\n" in head
    assert f"content-length: {len(body)}\r\n".encode() in head


def test_invalid_data_in_an_answer_adds_nothing_to_it(serve):
    server = serve(ScriptedEngine(pause=0.1))
    ask = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    body = json.dumps(ask).encode()
    port = int(server.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        answer = connection.recv(65536)
        connection.sendall(b"\x00rubbish\r\n\r\n")
        while received := connection.recv(65536):
            answer += received
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 4" not in answer


@pytest.mark.parametrize(
    "parts",
    [
        [GET + b"X: ", *[b"a" * 65_536] * 40],
        [GET, *[b"X%d: a\r\n" % i for i in range(20_000)]],
        [b"GET /", *[b"a" * 65_536] * 20],
    ],
)
def test_a_head_that_never_ends_is_cut_off(shared_server, parts):
    answer = send(shared_server, *parts)
    assert answer[:12] in (b"HTTP/1.1 431", b"HTTP/1.1 400")
    assert not answer.endswith(b"open")
    assert httpx.get(f"{shared_server.url}/health").status_code == 200


@pytest.mark.parametrize(
    "headers", [["A: b"] * 300, ["A: " + "x" * 80_000], ["A: " + "x" * 7_000] * 12]
)
def test_a_head_that_comes_at_once_has_the_same_limits(shared_server, headers):
    answer = send(shared_server, post(HI, *headers))
    assert answer.startswith(b"HTTP/1.1 431")
    assert not answer.endswith(b"open")
    assert send(shared_server, post(HI, *["A: b"] * 200, "Connection: close")).startswith(
        b"HTTP/1.1 200"
    )


@pytest.mark.parametrize(
    "endless",
    [
        [b"2\r\n{}\r\n0\r\n", *[b"a: b\r\n" * 10_000] * 40],
        [b"2\r\n{}\r\n0\r\na: ", *[b"a" * 65_536] * 40],
        [b"2;", *[b"a" * 65_536] * 40],
    ],
)
@pytest.mark.parametrize("path", [b"/nope", b"/v1/chat/completions"])
def test_endless_headers_and_trailers_are_cut_off(shared_server, path, endless):
    head = HEAD.replace(b"/v1/chat/completions", path) + b"Transfer-Encoding: chunked\r\n\r\n"
    answer = send(shared_server, head, *endless)
    assert not answer.endswith(b"open")
    assert httpx.get(f"{shared_server.url}/health").status_code == 200


def test_empty_lines_without_end_are_cut_off(shared_server):
    answer = send(shared_server, GET + b"\r\n", *[b"\r\n" * 30_000] * 40)
    assert answer.startswith(b"HTTP/1.1 200")
    assert not answer.endswith(b"open")


def test_requests_that_wait_for_an_answer_before_theirs_are_bounded(serve):
    server = serve(ScriptedEngine(tokens=["a"] * 1000, pause=0.1))
    answer = send(server, post(HI), (GET + b"\r\n") * (protocol.MAX_PIPELINED + 1))
    assert answer.startswith(b"HTTP/1.1 429")
    assert not answer.endswith(b"open")
    few = send(server, post({**HI, "max_tokens": 1}), (GET + b"\r\n") * 20)
    assert few.count(b"HTTP/1.1 200") == 21


def test_a_head_that_does_not_come_is_cut_off(serve, monkeypatch):
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
    server = serve()
    slow = send(server)
    assert slow.startswith(b"HTTP/1.1 408")
    told(slow, "did not arrive in time")
    assert send(server, GET).startswith(b"HTTP/1.1 408")
    keeps_on = send(server, GET + b"\r\n", GET)
    assert keeps_on.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 408" in keeps_on
    assert not keeps_on.endswith(b"open")


def test_time_in_which_the_server_stands_still_is_not_the_client_s(serve, monkeypatch):
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 1.0)
    connect, goes_on = protocol.BoundedProtocol.connection_made, threading.Event()

    def stand_still():
        time.sleep(1.5)
        goes_on.set()

    def connection_made(self, transport):
        connect(self, transport)
        self.loop.call_later(0.1, stand_still)

    monkeypatch.setattr(protocol.BoundedProtocol, "connection_made", connection_made)
    with connected(serve()) as connection:
        assert goes_on.wait(PATIENCE)
        connection.sendall(GET + b"\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_large_body_is_no_large_head(shared_server):
    body = {"model": "foo", "messages": [{"role": "user", "content": "x" * 1_000_000}]}
    with httpx.Client(base_url=shared_server.url) as client:
        for _ in range(3):
            assert client.post("/v1/chat/completions", json=body).status_code == 404


def test_a_connection_rests_as_long_as_the_server_says(serve):
    server = serve(keep_alive=1)
    with connected(server) as connection:
        connection.sendall(GET + b"\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.sendall(b"\r\n")  # between requests it means nothing
        assert connection.recv(65536) == b""
    with connected(server) as connection:
        connection.sendall(post(b" " * 1000, path="/nope")[:-1])
        assert connection.recv(65536).startswith(b"HTTP/1.1 404")
        connection.sendall(b" ")  # what is left of the body
        assert connection.recv(65536) == b""


def test_a_new_connection_closes_the_one_idle_longest(serve, monkeypatch):
    monkeypatch.setattr(protocol, "MAX_CONNECTIONS", 3)
    server = serve()
    with ExitStack() as stack:
        first, second, third, *_ = [stack.enter_context(connected(server)) for _ in range(3)]
        for connection in (second, third, first):
            connection.sendall(GET + b"\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        assert httpx.get(f"{server.url}/health").status_code == 200
        assert second.recv(65536) == b""
        for connection in (first, third):
            connection.sendall(GET + b"\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_connections_that_are_in_use_are_never_closed_for_others(serve, monkeypatch):
    monkeypatch.setattr(protocol, "MAX_CONNECTIONS", 1)
    server = serve(ScriptedEngine(pause=0.2))
    with connected(server) as connection:
        connection.sendall(post(HI, "Connection: close"))
        assert httpx.get(f"{server.url}/health").status_code == 200
        assert parse(received(connection))[0] == 200


def test_a_client_that_does_not_read_a_complete_answer_is_disconnected(serve, monkeypatch):
    lost, ends = [], protocol.BoundedProtocol.connection_lost

    def connection_lost(self, error):
        lost.append(self)
        ends(self, error)

    monkeypatch.setattr(protocol, "WRITE_SECONDS", 0.2)
    monkeypatch.setattr(protocol.BoundedProtocol, "connection_lost", connection_lost)
    server = serve(ScriptedEngine(tokens=["x" * 16_000_000]))
    with connected(server) as client:
        client.sendall(post())
        until(lambda: lost)
        assert len(received(client)) < 16_000_000
    assert httpx.get(f"{server.url}/health").status_code == 200
