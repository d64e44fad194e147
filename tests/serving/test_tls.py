"""The command with a certificate, and OpenAI's client over https."""

import socket
import subprocess
import time
from shutil import which
from urllib.parse import urlsplit

import httpx
import openai
import pytest

from tests.patience import PATIENCE
from tests.real_model import default_model, real_server

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(which("openssl") is None, reason="needs openssl"),
]
ASK = {
    "model": "gpt-4.1-mini", "temperature": 0, "max_tokens": 30,
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
}  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    default_model()
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key", "-out",
         folder / "certificate"],
        check=True, capture_output=True,
    )  # fmt: skip
    both = folder / "both.pem"
    both.write_bytes((folder / "certificate").read_bytes() + (folder / "key").read_bytes())
    with real_server(tls=both) as running:
        yield running


@pytest.fixture
def client(server):
    made = httpx.Client(verify=server.verify, timeout=PATIENCE)
    with openai.OpenAI(
        base_url=f"{server.url}/v1", api_key="any", max_retries=0, http_client=made
    ) as client:
        yield client


def streamed(client) -> str:
    chunks = client.chat.completions.create(**ASK, stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def test_a_plain_and_a_streamed_answer_arrive_over_https(client):
    plain = client.chat.completions.create(**ASK).choices[0].message.content
    assert "Paris" in plain
    assert streamed(client) == plain


def test_a_client_that_does_not_trust_the_certificate_gets_nothing(server):
    with pytest.raises(httpx.ConnectError, match="certificate"):
        httpx.get(f"{server.url}/health")


def test_what_is_no_tls_is_closed_and_changes_nothing_for_others(server, client):
    where = urlsplit(server.url)
    idle = [socket.create_connection((where.hostname, where.port)) for _ in range(50)]
    before = streamed(client)
    for noise in (
        b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        bytes(4_096),
        b"\x16\x03\x01",
    ):
        with socket.create_connection((where.hostname, where.port), timeout=PATIENCE) as connection:
            connection.sendall(noise)
            connection.shutdown(socket.SHUT_WR)
            assert b"HTTP/1.1 200" not in read(connection)
    assert streamed(client) == before
    for connection in idle:
        connection.close()


def read(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    said, end = b"", time.monotonic() + PATIENCE
    try:
        while (part := connection.recv(65_536)) and time.monotonic() < end:
            said += part
    except ConnectionError:
        pass
    return said
