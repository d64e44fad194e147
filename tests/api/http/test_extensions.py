"""One request can accept what the server does not."""

from __future__ import annotations

import httpx
import pytest

from tests.raw_http import HI


def post(server, header=None, **options):
    headers = {"x-minikin-extensions": header} if header else {}
    return httpx.post(f"{server.url}/v1/chat/completions", json={**HI, **options}, headers=headers)


def test_the_header_opens_one_request(shared_server):
    assert post(shared_server, top_k=5).status_code == 400
    assert post(shared_server, "true", top_k=5).status_code == 200
    assert shared_server.engine.requests[-1].params.top_k == 5
    assert post(shared_server, "false", top_k=5).status_code == 400


@pytest.mark.parametrize("value", ["1", "True", "yes"])
def test_another_value_is_an_error(shared_server, value):
    answer = post(shared_server, value)
    assert answer.status_code == 400
    assert "x-minikin-extensions" in answer.json()["error"]["message"]
