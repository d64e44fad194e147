"""HTTP as bytes, for what no client library sends."""

from __future__ import annotations

import json
import socket
from contextlib import contextmanager

from tests.patience import PATIENCE

OPEN = b"[still open]"
HI = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "Hi"}]}
STREAM = {**HI, "stream": True}


def post(ask=HI, *headers: str, version: str = "1.1", path: str = "/v1/chat/completions") -> bytes:
    """A request with `ask` as its JSON body."""
    body = ask if isinstance(ask, bytes) else json.dumps(ask).encode()
    lines = [
        f"POST {path} HTTP/{version}",
        "Host: localhost",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


@contextmanager
def connected(server, seconds: float = PATIENCE):
    port = int(server.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        yield connection


def received(connection) -> bytes:
    """All that comes until the server closes; with OPEN at its end if it doesn't."""
    answer = b""
    try:
        while part := connection.recv(65536):
            answer += part
    except TimeoutError:
        return answer + OPEN
    return answer


def talk(server, *parts: bytes, half_close: bool = False, seconds: float = PATIENCE) -> bytes:
    """What comes back for these bytes, see `received`."""
    with connected(server, seconds) as connection:
        for part in parts:
            connection.sendall(part)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        return received(connection)


def parse(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the first answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    line, *lines = head.decode().split("\r\n")
    headers = dict(each.split(": ", 1) for each in lines)
    return int(line.split(" ")[1]), headers, body[: int(headers.get("content-length", len(body)))]


def content(body: bytes) -> str:
    """What an answer's JSON says."""
    return json.loads(body)["choices"][0]["message"]["content"]
