import json
import socket

import httpx
import pytest

from minikin.api.http import bodies
from tests.patience import PATIENCE

ASK = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "Hi"}]}
JSON = {"content-type": "application/json"}


def post(server, content, headers=JSON):
    return httpx.post(f"{server.url}/v1/chat/completions", content=content, headers=headers)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"model":',
        b'{"model": "a"} x',
        b"[NaN]",
        b'{"temperature": NaN',
        b'{"\\ud800": NaN}',
        b'{"a": ' + b"[" * 900 + b"NaN" + b"]" * 900 + b"}",
        b'{"model": "\xff"}',
        b'{"model": "\\ud800"}',
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        b"{'model': 'a'}",
    ],
)
def test_invalid_json_is_an_error(shared_server, content):
    answer = post(shared_server, content)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("We could not parse the JSON body")
    assert answer.json()["error"]["param"] is None


@pytest.mark.parametrize(
    ("content", "param"),
    [
        (b'{"model": "x", "temperature": NaN}', "temperature"),
        (b'{"top_p": Infinity}', "top_p"),
        (b'{"top_p": -Infinity, "n": NaN}', "top_p"),
        (b'{"seed": ' + b"9" * 5000 + b"}", "seed"),
        (b'{"seed": -' + b"9" * 4301 + b"}", "seed"),
        (b'{"logit_bias": {"1": NaN}}', "logit_bias"),
        (b'{"tools": [{"function": {"parameters": {"maximum": Infinity}}}]}', "tools"),
    ],
)
def test_an_invalid_number_is_an_error_with_its_name(shared_server, content, param):
    answer = post(shared_server, content)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
    assert f"Invalid '{param}'" in answer.json()["error"]["message"]


@pytest.mark.parametrize("content", [b"[]", b"null", b'"x"', b"7", b"true"])
def test_a_body_that_is_not_an_object_is_an_error(shared_server, content):
    answer = post(shared_server, content)
    assert answer.status_code == 400
    assert "must be an object" in answer.json()["error"]["message"]


@pytest.mark.parametrize("field", ["nothing", "metadata", "messages", "tools", "logit_bias"])
def test_deep_json_is_an_error(shared_server, field):
    deep = b'{"' + field.encode() + b'": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    answer = post(shared_server, deep)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "json_too_deep"


def test_a_schema_has_a_depth_limit_of_its_own(shared_server):
    deep = {}
    for _ in range(70):
        deep = {"properties": {"a": deep}}
    tools = [{"type": "function", "function": {"name": "f", "parameters": deep}}]
    answer = post(shared_server, json.dumps({**ASK, "tools": tools}))
    assert answer.json()["error"]["code"] == "json_too_deep"
    assert answer.json()["error"]["param"] == "tools[0].function.parameters"


@pytest.mark.parametrize("literal", ["1e999", "-1e999"])
def test_a_number_past_all_floats_is_out_of_range(shared_server, literal):
    answer = post(shared_server, json.dumps(ASK)[:-1] + f', "temperature": {literal}}}')
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "temperature"


def test_of_two_equal_keys_the_last_counts(shared_server):
    answer = post(shared_server, json.dumps(ASK)[:-1] + ', "model": "foo"}')
    assert answer.status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
def test_other_media_types_are_errors(shared_server, headers):
    answer = post(shared_server, json.dumps(ASK), headers)
    assert answer.status_code == 415
    assert answer.json()["error"]["code"] == "unsupported_media_type"


def test_a_charset_does_not_change_the_media_type(shared_server):
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    assert post(shared_server, json.dumps(ASK), headers).status_code == 200


def test_a_large_body_is_refused_from_its_header_alone(shared_server):
    port = int(shared_server.url.rpartition(":")[2])
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: 10737418240\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(head)
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")


def test_a_body_of_unknown_size_is_refused_when_it_grows_too_large(serve):
    server = serve(max_body_bytes=1000)
    answer = post(server, iter([b" " * 600] * 3))
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "request_too_large"
    assert post(server, json.dumps(ASK)).status_code == 200


def test_a_body_that_does_not_come_is_given_up(serve, monkeypatch):
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.2)
    server = serve()
    port = int(server.url.rpartition(":")[2])
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(head)
        assert connection.recv(4096).startswith(b"HTTP/1.1 408")
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(head)
    assert httpx.get(f"{server.url}/health").status_code == 200
