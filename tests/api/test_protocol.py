import socket

import httpx
import pytest

from minikin.api import protocol

HEAD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
)
GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"


def send(server, *parts: bytes) -> bytes:
    """What comes back before the server closes; b"open" after it if it doesn't."""
    port = int(server.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(3)
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
    assert answer.startswith(b"HTTP/1.1 400")
    assert not answer.endswith(b"open")


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
    assert answer[:12] in (b"HTTP/1.1 431", b"HTTP/1.1 400", b"")
    assert not answer.endswith(b"open")
    assert httpx.get(f"{shared_server.url}/health").status_code == 200


def test_a_head_that_does_not_come_is_cut_off(serve, monkeypatch):
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
    server = serve()
    assert send(server).startswith(b"HTTP/1.1 408")
    assert send(server, GET).startswith(b"HTTP/1.1 408")
    keeps_on = send(server, GET + b"\r\n", GET)
    assert keeps_on.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 408" in keeps_on
    assert not keeps_on.endswith(b"open")


def test_a_large_body_is_no_large_head(shared_server):
    body = {"model": "foo", "messages": [{"role": "user", "content": "x" * 1_000_000}]}
    with httpx.Client(base_url=shared_server.url) as client:
        for _ in range(3):
            assert client.post("/v1/chat/completions", json=body).status_code == 404
