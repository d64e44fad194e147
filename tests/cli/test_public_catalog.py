"""The catalog of a server with keys, for anyone."""

from __future__ import annotations

import httpx
import pytest

from minikin.cli.serve import catalog_routes
from tests.fakes import ScriptedEngine, live_server

KEY = "mk-0123456789abcdef"
CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture(scope="module")
def client():
    with (
        live_server(
            ScriptedEngine(), more=catalog_routes, api_keys=(KEY,), public_catalog=True
        ) as server,
        httpx.Client(base_url=server.url, timeout=300) as client,
    ):
        yield client


@pytest.mark.parametrize(
    "path",
    ["", "/index.html", "/models/gpt-4.1-mini", "/offerings?limit=1", "/api.json", "/feed.xml",
     "/evidence/minikin/smollm2-135m-instruct/verified.svg"],
)  # fmt: skip
def test_anyone_can_read_it(client, path):
    assert client.get(f"/catalog{path}").status_code == 200


def test_a_wrong_key_does_not_close_it(client):
    headers = {"authorization": "Bearer wrong"}
    assert client.get("/catalog", headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/v1/models", "/api/v1/models", "/metrics", "/openapi.json"])
def test_the_rest_needs_a_key(client, path):
    assert client.get(path).status_code == 401


def test_a_path_through_the_catalog_leads_nowhere_else(client):
    url = httpx.URL(f"{client.base_url}").copy_with(raw_path=b"/catalog/%2e%2e/v1/models")
    assert client.get(url).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_but_reading_needs_no_key(client, method):
    assert client.request(method, "/catalog/models/gpt-4.1-mini").status_code == 401
    assert client.request(method, "/v1/chat/completions", json=CHAT).status_code == 401


def test_with_a_key_the_server_answers(client):
    headers = {"authorization": f"Bearer {KEY}"}
    assert client.post("/v1/chat/completions", json=CHAT, headers=headers).status_code == 200
