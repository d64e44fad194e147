"""The line that each request leaves in the log."""

from __future__ import annotations

import logging
import re
import socket
import time

import httpx
import pytest

from minikin.api.http.access_log import AccessLog
from minikin.logs import ACCESS
from tests.fakes import ScriptedEngine
from tests.patience import until

ASK = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "SECRET"}]}
LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00 (?P<method>\S+) (?P<path>\S+) (?P<status>\d+) \d+ms "
    r"(?P<id>req_[0-9a-f]{32})(?P<more>( \w+=\S+)*)"
)


@pytest.fixture
def lines(caplog):
    """Gives the lines once there are `count` of them; a line follows its answer."""
    caplog.set_level(logging.INFO, ACCESS)

    def found():
        return [r.getMessage() for r in caplog.records if r.name == ACCESS]

    def read(count=1):
        until(lambda: len(found()) >= count)
        return found()

    return read


def matched(line):
    match = LINE.fullmatch(line)
    assert match, line
    return match


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_has_its_model_and_tokens(serve, lines, stream):
    answer = httpx.post(
        f"{serve().url}/v1/chat/completions?key=SECRET",
        json={**ASK, "stream": stream},
        headers={"authorization": "Bearer SECRET"},
    )
    assert answer.status_code == 200
    [line] = lines()
    found = matched(line)
    assert found["id"] == answer.headers["x-request-id"]
    assert found.group("method", "path", "status") == ("POST", "/v1/chat/completions", "200")
    facts = dict(fact.split("=") for fact in found["more"].split())
    assert facts.pop("prompt_tokens").isdigit()
    assert facts == {"model": "gpt-4.1-mini", "completion_tokens": "5"}
    assert "SECRET" not in line


def test_an_error_has_its_status(serve, lines):
    server = serve(api_keys=("SECRET",))
    body = {**ASK, "model": "none"}
    url = f"{server.url}/v1/chat/completions"
    httpx.post(url, json=body)
    httpx.post(url, json=body, headers={"authorization": "Bearer SECRET"})
    httpx.get(f"{server.url}/nope", headers={"authorization": "Bearer SECRET"})
    found = [matched(line) for line in lines(3)]
    assert [match["status"] for match in found] == ["401", "404", "404"]
    assert [match["more"] for match in found] == ["", "", ""]


def test_a_client_that_disconnects_before_its_answer(serve, lines):
    server = serve(ScriptedEngine(pause=30))
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}/v1/chat/completions", json=ASK, timeout=0.3)
    [line] = lines()
    assert matched(line)["status"] == "499"
    assert "completion_tokens" not in line


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (b"/a%0aGET%20/forged%20200", "/a%0aGET%20/forged%20200"),
        (b"/v1/models/%1b[2J\\x0a", "/v1/models/%1b[2J\\x0a"),
        (b"/" + b"x" * 5000, "/" + "x" * 255 + "..."),
    ],
)
def test_a_path_stays_one_word(serve, lines, path, shown):
    server = serve()
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path)
        assert client.recv(100).startswith(b"HTTP/1.1 404")
    [line] = lines()
    assert matched(line)["path"] == shown


async def test_unexpected_bytes_stay_one_word(lines):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})

    async def send(message):
        pass

    state = {"request_id": "req_" + "0" * 32, "noted": {"model": "a model\n"}}
    scope = {"type": "http", "method": "GET", "path": "/", "state": state}
    await AccessLog(app)({**scope, "raw_path": b"/\xe2\x80\xae \n\x1b?SECRET"}, None, send)
    [line] = lines()
    assert matched(line)["path"] == "/\\xe2\\x80\\xae\\x20\\n\\x1b"
    assert matched(line)["more"] == " model=a\\x20model\\n"


def test_probes_are_for_those_who_debug(serve, lines, caplog):
    server = serve()
    httpx.get(f"{server.url}/health")
    httpx.get(f"{server.url}/metrics")
    httpx.get(f"{server.url}/v1/models")
    assert [matched(line)["path"] for line in lines()] == ["/v1/models"]
    caplog.set_level(logging.DEBUG, ACCESS)
    httpx.get(f"{server.url}/ready")
    assert [matched(line)["path"] for line in lines(2)] == ["/v1/models", "/ready"]


def test_it_can_be_switched_off(serve, lines):
    server = serve(access_log=False)
    httpx.get(f"{server.url}/v1/models")
    time.sleep(0.1)
    assert lines(0) == []


def test_a_log_in_json_has_the_same_facts(serve, lines, caplog):
    answer = httpx.post(f"{serve().url}/v1/chat/completions", json=ASK)
    lines()
    [record] = [record for record in caplog.records if record.name == ACCESS]
    fields = record.fields
    assert fields.pop("duration_ms") >= 0
    assert fields["request_id"] == answer.headers["x-request-id"]
    assert (fields["method"], fields["path"], fields["status"]) == (
        "POST", "/v1/chat/completions", 200,
    )  # fmt: skip
    assert fields["model"] == "gpt-4.1-mini"
    assert "SECRET" not in str(fields)
