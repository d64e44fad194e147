import httpx
import pytest

from minikin.errors import EngineFailure
from tests.fakes import ScriptedEngine
from tests.raw_http import HI, STREAM

PAGE = "http://localhost:5173"
KEY = "mk-0123456789abcdef"
CHAT = "/v1/chat/completions"
ASKS = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os",
}


def preflight(server, path=CHAT, **changed):
    headers = {name: value for name, value in {**ASKS, **changed}.items() if value}
    return httpx.options(server.url + path, headers=headers)


def test_no_page_is_allowed_unless_the_server_says_so(serve, caplog):
    server = serve()
    asked = preflight(server)
    assert asked.status_code == 403
    assert asked.json()["error"]["code"] == "origin_not_allowed"
    assert "--allowed-origin" in asked.json()["error"]["message"]
    assert PAGE in asked.json()["error"]["message"]
    preflight(server)
    assert caplog.text.count(PAGE) == 1
    got = httpx.get(f"{server.url}/v1/models", headers={"Origin": PAGE})
    assert got.status_code == 200
    for answer in (asked, got):
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(("allowed", "said"), [((PAGE, "app://notes"), PAGE), (("*",), "*")])
def test_a_browser_asks_first_and_needs_no_key_for_it(serve, allowed, said):
    asked = preflight(serve(allowed_origins=allowed, api_keys=(KEY,)))
    assert asked.status_code == 200
    headers = asked.headers
    assert headers["access-control-allow-origin"] == said
    assert headers["access-control-allow-headers"] == ASKS["Access-Control-Request-Headers"]
    assert {"GET", "POST", "DELETE"} <= set(headers["access-control-allow-methods"].split(", "))
    assert "access-control-allow-credentials" not in headers
    assert headers["x-request-id"].startswith("req_")


def test_a_public_page_may_reach_a_private_address(serve):
    server = serve(allowed_origins=(PAGE,))
    asked = preflight(server, **{"Access-Control-Request-Private-Network": "true"})
    assert asked.headers["access-control-allow-private-network"] == "true"


@pytest.mark.parametrize("origin", ["http://localhost:5174", "https://localhost:5173", "null"])
def test_other_pages_stay_out(serve, origin):
    server = serve(allowed_origins=(PAGE,))
    assert preflight(server, Origin=origin).status_code == 403
    got = httpx.get(f"{server.url}/v1/models", headers={"Origin": origin})
    assert "access-control-allow-origin" not in got.headers
    assert "Origin" in httpx.get(f"{server.url}/v1/models").headers["vary"]


@pytest.mark.parametrize(
    ("status", "request_parts"),
    [
        (200, {"json": HI}),
        (200, {"json": STREAM}),
        (400, {"json": {**HI, "n": 0}}),
        (400, {"content": b"{", "headers": {"content-type": "application/json"}}),
        (404, {"json": {**HI, "model": "foo"}}),
        (415, {"content": b"{}"}),
        (401, {"json": HI, "key": "wrong"}),
        (403, {"json": HI, "headers": {"host": "evil.example"}}),
        (405, {"json": HI, "path": "/v1/models"}),
        (404, {"json": HI, "path": "/nope"}),
    ],
)
def test_a_page_may_read_every_answer(serve, status, request_parts):
    server = serve(allowed_origins=(PAGE,), api_keys=(KEY,))
    parts = dict(request_parts)
    headers = {
        "Origin": PAGE,
        "Authorization": f"Bearer {parts.pop('key', KEY)}",
        **parts.pop("headers", {}),
    }
    answer = httpx.post(server.url + parts.pop("path", CHAT), headers=headers, **parts)
    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == PAGE
    exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
    assert {"x-request-id", "retry-after"} <= set(exposed)


def test_a_page_may_read_of_a_failure(serve):
    engine = ScriptedEngine(fail_after=0, failure=EngineFailure("The engine stopped."))
    server = serve(engine, allowed_origins=("*",))
    answer = httpx.post(server.url + CHAT, json=HI, headers={"Origin": PAGE})
    assert answer.status_code == 500
    assert answer.headers["access-control-allow-origin"] == "*"
