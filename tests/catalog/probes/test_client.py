import asyncio
import gzip
import json

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from minikin.catalog.facts.evidence import encode
from minikin.catalog.probes import client as clients
from minikin.catalog.probes.checks import CHECKS
from minikin.catalog.probes.client import Client, Unreachable
from minikin.catalog.probes.probe import probe
from minikin.errors import SetupError

KEY = "sk-secret-0123456789"


def app(answer):
    async def respond(request):
        return answer(request, await request.body())

    return Starlette(routes=[Route("/{path:path}", respond, methods=["GET", "POST"])])


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://x/",
        "x:8000",
        "http://",
        "http://user:pass@host/v1",
        "http://host/v1?key=1",
    ],
)
def test_an_invalid_base_url_or_one_with_a_secret_is_rejected(url):
    with pytest.raises(SetupError) as caught:
        Client(url)
    assert "pass" not in caught.value.message


def test_a_redirect_is_not_followed_and_the_key_stays(serve):
    seen = []

    def other(request, body):
        seen.append(request.headers)
        return JSONResponse({})

    with serve(app(other)) as elsewhere:

        def answer(request, body):
            return RedirectResponse(f"{elsewhere}/v1/chat/completions", 307)

        refused = pytest.raises(Unreachable, match=r"redirects to 127\.0\.0\.1")
        with serve(app(answer)) as url, Client(f"{url}/v1", KEY) as client, refused:
            client.post("/chat/completions", {})
    assert seen == []


def test_a_key_that_the_server_echoes_is_in_no_reason_and_no_evidence(serve):
    def answer(request, body):
        sent = json.loads(body) if body.startswith(b'{"') else {}
        if (
            "top_p" in sent and "seed" in sent
        ):  # the greedy settings pass, so that the probe goes on
            return JSONResponse({"choices": [], "system_fingerprint": f"fp_{KEY}"})
        said = f"\x1b[31mbad key {request.headers['authorization']}\x07 <script>"
        return JSONResponse({"error": {"message": said}}, 400)

    with serve(app(answer)) as url, Client(f"{url}/v1", KEY) as client:
        evidence = probe(client, "m", "host/m", CHECKS)
    assert {result.outcome for result in evidence.results} == {"failed", "absent"}
    assert any("bad key Bearer ***" in result.reason for result in evidence.results)
    assert KEY.encode() not in encode(evidence)
    assert b"\\u001b" not in encode(evidence)


def test_an_answer_too_big_is_cut_off(serve, monkeypatch):
    monkeypatch.setattr(clients, "MAX_ANSWER", 100_000)
    sent = []

    async def endless():
        while True:
            sent.append(1)
            await asyncio.sleep(0)  # lets the server notice that the client is gone
            yield b"x" * 10_000

    cut_off = pytest.raises(Unreachable, match="did not end")
    with serve(app(lambda *_: StreamingResponse(endless()))) as url, Client(url) as client, cut_off:
        client.post("/x", {})
    assert len(sent) < 1_000


def test_an_answer_without_end_is_cut_off_in_time(serve):
    async def dripping():
        while True:
            yield b"x"
            await asyncio.sleep(0.02)

    cut_off = pytest.raises(Unreachable, match="did not end")
    endless = app(lambda *_: StreamingResponse(dripping()))
    with serve(endless) as url, Client(url, timeout=0.2) as client, cut_off:
        client.post("/x", {})


def test_a_compressed_bomb_is_not_unpacked(serve):
    bomb = gzip.compress(b"0" * 10_000_000)
    answer = Response(bomb, headers={"content-encoding": "gzip"})
    refused = pytest.raises(Unreachable, match="compressed")
    with serve(app(lambda *_: answer)) as url, Client(url) as client, refused:
        client.post("/x", {})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"[" * 5000,
        b'{"choices": null}',
        b'{"choices": [3]}',
        b"\xff\xfe",
    ],
)
@pytest.mark.parametrize("status", [200, 400])
def test_invalid_answers_fail_checks_without_a_crash(serve, body, status):
    whole = b'{"choices": [{"message": {"content": "x"}}]}'

    def answer(request, sent):
        first = b'"Hello"' in sent and b'"max_tokens": 16,' in sent
        return Response(whole if first else body, 200 if first else status)

    with serve(app(answer)) as url, Client(url) as client:
        results = probe(client, "m", "host/m", CHECKS).results
    assert len(results) == len(CHECKS)
    assert {result.outcome for result in results} <= {"failed", "ignored", "absent", "inconclusive"}


def test_an_overloaded_server_is_asked_again_then_left_undecided(serve, monkeypatch):
    monkeypatch.setattr(clients, "_MAX_WAIT", 0.01)
    asked = []

    def answer(request, body):
        asked.append(1)
        return JSONResponse(
            {"error": {"message": "busy"}}, 503, headers={"retry-after": "99999999"}
        )

    undecided = pytest.raises(Unreachable, match=r"503: .*busy")
    with serve(app(answer)) as url, Client(url) as client, undecided:
        client.post("/x", {})
    assert len(asked) == 3
