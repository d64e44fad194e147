import json

import httpx
import pytest

from tests.raw_http import HI, OPEN, STREAM, connected, content, parse, post, talk

SAYS = "Hello there!"
LAST = post(b"", "Connection: upgrade, close", "Upgrade: h2c", path="/nope")
OFFERS = [
    (
        "Connection: Upgrade, HTTP2-Settings",
        "Upgrade: h2c",
        "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk",
    ),
    ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
    ("connection: keep-alive, upgrade", "UPGRADE: h2c, websocket"),
]


def chunked(body: bytes, *headers: str) -> bytes:
    """A request with its body in two chunks."""
    head = post(b"", *headers, "Transfer-Encoding: chunked").replace(b"Content-Length: 0\r\n", b"")
    half = len(body) // 2
    parts = [b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:half], body[half:])]
    return head + b"".join(parts) + b"0\r\n\r\n"


@pytest.mark.parametrize("offer", OFFERS)
def test_an_offered_upgrade_is_ignored(shared_server, offer):
    for request in (post(HI, *offer), chunked(json.dumps(HI).encode(), *offer)):
        answer = talk(shared_server, request, LAST)
        status, headers, body = parse(answer)
        assert status == 200
        assert "upgrade" not in headers
        assert content(body) == SAYS
        assert b"HTTP/1.1 404" in answer


def test_an_offer_split_anywhere_is_ignored(shared_server):
    request = post({**HI, "max_tokens": 1}, *OFFERS[0])
    answer = talk(shared_server, *(request[at : at + 7] for at in range(0, len(request), 7)), LAST)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 404" in answer


def test_every_request_of_a_connection_may_offer_an_upgrade(shared_server):
    answer = talk(shared_server, post(HI, *OFFERS[0]) * 3 + LAST)
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 3
    assert b"HTTP/1.1 404" in answer
    assert answer.count(SAYS.encode()) == 3


def test_connect_is_rejected(shared_server):
    answer = talk(shared_server, b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert parse(answer)[0] == 400


def test_an_old_client_gets_a_plain_answer_and_the_end(shared_server):
    status, headers, body = parse(talk(shared_server, post(version="1.0")))
    assert (status, headers["connection"]) == (200, "close")
    assert int(headers["content-length"]) == len(body)
    assert content(body) == SAYS


def test_an_old_client_gets_its_stream_unchunked(shared_server):
    status, headers, body = parse(talk(shared_server, post(STREAM, version="1.0")))
    assert (status, headers["connection"]) == (200, "close")
    assert not {"transfer-encoding", "content-length"} & set(headers)
    events = body.decode().split("\n\n")
    assert all(event.startswith("data: ") for event in events[:-1])
    assert events[-2:] == ["data: [DONE]", ""]


def test_a_stream_asks_proxies_not_to_hold_it_back(shared_server):
    _, headers, _ = parse(talk(shared_server, post(STREAM, "Connection: close")))
    assert headers["x-accel-buffering"] == "no"


def test_an_offered_body_is_requested(shared_server):
    head, _, body = post(HI, "Expect: 100-continue", "Connection: close").partition(b"{")
    answer = talk(shared_server, head, b"{" + body)
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


def test_an_offered_body_that_is_not_read_ends_the_connection(shared_server):
    request = post(HI, "Expect: 100-continue", path="/nope")
    status, headers, _ = parse(talk(shared_server, request.partition(b"{")[0]))
    assert (status, headers["connection"]) == (404, "close")


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("path", ["/nope", "/v1/chat/completions"])
def test_an_answer_to_a_large_body_arrives_though_the_connection_ends(shared_server, version, path):
    large = post(b" " * 12_000_000, "Connection: close", version=version, path=path)
    status, _, body = parse(talk(shared_server, large))
    assert status == (404 if path == "/nope" else 413)
    assert json.loads(body)["error"]["type"] == "invalid_request_error"


def test_a_connection_goes_on_after_a_body_that_nobody_read(shared_server):
    large = b" " * 1_000_000
    with httpx.Client(base_url=shared_server.url) as client:
        assert client.post("/nope", content=large).status_code == 404
        assert client.post("/v1/chat/completions", content=large).status_code == 415
        assert client.post("/v1/chat/completions", json=HI).status_code == 200


@pytest.mark.parametrize("coding", ["gzip, chunked", "gzip", "identity", "chunked, chunked"])
def test_other_transfer_codings_are_refused(shared_server, coding):
    request = post(b"", f"Transfer-Encoding: {coding}").replace(b"Content-Length: 0\r\n", b"")
    answer = talk(shared_server, request + b"0\r\n\r\n")
    status, headers, _ = parse(answer)
    assert status in (400, 501)
    assert headers["connection"] == "close"
    assert not answer.endswith(OPEN)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("http://localhost:8000/v1/chat/completions", 200),
        ("http://proxied.example/v1/chat/completions?a=b", 200),
        ("//v1/chat/completions", 404),
        ("/v1//chat/completions", 404),
        ("/v1/chat/completions/", 404),
        ("/chat/completions", 404),
        ("/V1/chat/completions", 404),
        ("/v1/chat/completions%2F", 404),
    ],
)
def test_the_path_is_taken_as_the_original_takes_it(shared_server, path, status):
    found, _, body = parse(talk(shared_server, post(HI, "Connection: close", path=path)))
    assert found == status
    if status == 404:
        assert json.loads(body)["error"]["message"].startswith("Invalid URL (POST /")


def test_a_plain_answer_comes_in_one_piece(shared_server):
    with connected(shared_server) as connection:
        for _ in range(3):
            connection.sendall(post())
            answer = connection.recv(65_536)
            status, headers, body = parse(answer)
            assert status == 200
            assert len(body) == int(headers["content-length"])


def test_the_head_of_a_large_answer_is_followed_by_all_of_it(shared_server):
    response = httpx.get(f"{shared_server.url}/openapi.json")
    assert len(response.content) == int(response.headers["content-length"]) > 65_536
    head = httpx.head(f"{shared_server.url}/openapi.json")
    assert (head.status_code, head.content) in ((200, b""), (405, b""))
