import httpx
import openai
import pytest

from minikin.api.access.keys import MAX_WRONG
from minikin.errors import MinikinError
from tests.fakes import ByteTokenizer
from tests.raw_http import HI, talk

KEY, OTHER = "mk-0123456789abcdef", "mk-fedcba9876543210"


def test_with_keys_one_must_be_sent(serve):
    server = serve(api_keys=(KEY, OTHER))
    for key in (KEY, OTHER):
        headers = {"Authorization": f"Bearer {key}"}
        assert httpx.get(f"{server.url}/v1/models", headers=headers).status_code == 200
    none = httpx.get(f"{server.url}/v1/models")
    assert none.status_code == 401
    assert none.headers["www-authenticate"] == "Bearer"
    assert none.json()["error"]["code"] is None
    assert "You didn't provide an API key" in none.json()["error"]["message"]


@pytest.mark.parametrize(
    "given",
    ["Bearer x", "Bearer mk-0123456789abcdeX", f"Basic {KEY}", KEY, "Bearer ' OR '1'='1", "Bearer"],
)
def test_a_wrong_key_is_shown_masked(serve, given):
    server = serve(api_keys=(KEY,))
    wrong = httpx.get(f"{server.url}/v1/models", headers={"Authorization": given})
    assert wrong.status_code == 401
    assert wrong.json()["error"]["code"] == "invalid_api_key"
    assert "Incorrect API key provided" in wrong.json()["error"]["message"]
    assert given not in wrong.text
    assert KEY not in wrong.text


def test_too_many_wrong_keys_get_a_retry_after(serve):
    server = serve(api_keys=(KEY,))
    with httpx.Client(base_url=server.url) as client:

        def ask(key):
            return client.get("/v1/models", headers={"Authorization": f"Bearer {key}"})

        statuses = [ask(f"guess-{i}").status_code for i in range(MAX_WRONG + 5)]
        assert statuses == [401] * MAX_WRONG + [429] * 5
        late = ask("guess")
        assert 1 <= int(late.headers["retry-after"]) <= 60
        assert late.json()["error"]["code"] == "rate_limit_exceeded"
        assert late.json()["error"]["type"] == "requests"
        assert ask(KEY).status_code == 200


def test_two_keys_or_a_key_in_the_query_do_not_count(serve):
    server = serve(api_keys=(KEY,))
    twice = [("Authorization", f"Bearer {KEY}")] * 2
    assert httpx.get(f"{server.url}/v1/models", headers=twice).status_code == 401
    assert httpx.get(f"{server.url}/v1/models?api_key={KEY}").status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/chat/completions"),
        ("GET", "/v1/chat/completions"),
        ("GET", "/v1/chat/completions/x"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("POST", "/tokenize"),
        ("POST", "/detokenize"),
        ("OPTIONS", "/v1/models"),
        ("GET", "/v1/models/"),
        ("GET", "//v1/models"),
        ("GET", "/V1/MODELS"),
        ("GET", "/health/"),
        ("GET", "/health/../v1/models"),
        ("GET", "/metrics"),
    ],
)
def test_only_the_probes_are_open(serve, method, path):
    server = serve(api_keys=(KEY,))
    assert httpx.get(f"{server.url}/health").status_code == 200
    assert httpx.get(f"{server.url}/ready").status_code == 200
    answer = talk(
        server,
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode(),
    )
    assert answer.startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:80", "192.0.2.7"])
def test_the_server_answers_to_its_names_and_to_addresses(shared_server, host):
    assert httpx.get(f"{shared_server.url}/v1/models", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "0.0.0.0", "localhost.evil"])
def test_it_does_not_answer_to_other_names(shared_server, method, host):
    answer = httpx.request(method, f"{shared_server.url}/v1/models", headers={"host": host})
    assert answer.status_code == 403
    error = answer.json()["error"]
    assert error["code"] == "host_not_allowed"
    assert f"--allowed-host {host.partition(':')[0]}" in error["message"]


def test_a_name_can_be_allowed(serve):
    server = serve(allowed_hosts=("Box.Lan",))
    for host in ("box.lan", "box.lan:8000"):
        assert httpx.get(f"{server.url}/v1/models", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["x/?a=", "good#", "a b", "", "a@b", "é"])
def test_a_malformed_host_is_an_error(shared_server, host):
    answer = talk(
        shared_server,
        f"GET /v1/models HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode(),
    )
    assert answer.startswith(b"HTTP/1.1 400")


def test_a_missing_or_duplicate_host_is_an_error(shared_server):
    host = b"Host: localhost\r\n"
    for request in (
        b"GET /v1/models HTTP/1.0\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\n" + host + host + b"Connection: close\r\n\r\n",
    ):
        assert talk(shared_server, request).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/tokenize", 405, "POST"),
        ("PUT", "/v1/chat/completions", 405, "GET, HEAD, POST"),
        ("PATCH", "/v1/chat/completions/x", 405, "DELETE, GET, HEAD, POST"),
        ("POST", "/v1/models", 405, "GET, HEAD"),
        ("GET", "/nope", 404, None),
        ("GET", "/v1/chat/completions/", 404, None),
        ("POST", "/v1/embeddings", 404, None),
        ("GET", "/v1/completions", 405, "POST"),
        ("GET", "/%00", 404, None),
    ],
)
def test_unknown_routes_are_errors_in_json(shared_server, method, path, status, allow):
    answer = httpx.request(method, shared_server.url + path)
    assert answer.status_code == status
    assert answer.headers.get("allow") == allow
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    if status == 404:
        assert error["message"].startswith(f"Invalid URL ({method} /")


@pytest.mark.parametrize(
    ("method", "path", "meant"),
    [
        ("POST", "/chat/completions", "/v1/chat/completions"),
        ("POST", "/responses", "/v1/responses"),
        ("GET", "/models", "/v1/models"),
        ("GET", "/models/a/b", "/v1/models/a/b"),
        ("POST", "/v1/v1/chat/completions", "/v1/chat/completions"),
        ("POST", "/v1/audio/speech", None),
        ("POST", "/audio/speech", None),
        ("PUT", "/responses", None),
        ("POST", "/v1/responses/compact", None),
        ("POST", "/responses/compact", None),
    ],
)
def test_a_base_url_without_v1_is_answered_with_the_right_path(shared_server, method, path, meant):
    answer = httpx.request(method, f"{shared_server.url}{path}", json={})
    assert answer.status_code == 404
    hint = f". Did you mean {meant}? The base URL ends in one /v1." if meant else ""
    assert answer.json()["error"]["message"] == f"Invalid URL ({method} {path}){hint}"


def test_the_older_completions_are_for_other_models(shared_server):
    client = openai.OpenAI(base_url=f"{shared_server.url}/v1", api_key="any")
    with client, pytest.raises(openai.NotFoundError, match="mean to use v1/chat/completions") as e:
        client.completions.create(model="gpt-4.1-mini", prompt="Hi")
    assert (e.value.param, e.value.code, e.value.type) == ("model", None, "invalid_request_error")


def test_a_bug_is_a_500_without_a_trace(serve, monkeypatch, caplog):
    server = serve()

    def broken(*args):
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(ByteTokenizer, "encode_prompt", broken)
    answer = httpx.post(f"{server.url}/v1/chat/completions", json=HI)
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] in caplog.text
    assert answer.json()["error"]["type"] == MinikinError.type
    assert "secret" not in answer.text


@pytest.mark.parametrize("host", [b"", b"Host: evil.example\r\n"])
def test_a_health_check_needs_no_host_name(shared_server, host):
    for path in (b"/health", b"/ready"):
        answer = talk(shared_server, b"GET " + path + b" HTTP/1.0\r\n" + host + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 200")
    assert not talk(shared_server, b"GET /v1/models HTTP/1.0\r\n" + host + b"\r\n").startswith(
        b"HTTP/1.1 200"
    )
