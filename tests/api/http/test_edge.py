import re

import httpx
import pytest

from tests.raw_http import HI


@pytest.mark.parametrize("path", ["/health", "/v1/models", "/v1/models/none", "/nope", "/docs"])
def test_every_answer_has_an_id_and_the_common_headers(shared_server, path):
    headers = httpx.get(shared_server.url + path, headers={"x-request-id": "mine"}).headers
    assert re.fullmatch(r"req_[0-9a-f]{32}", headers["x-request-id"])
    assert headers["openai-version"] == "2020-10-01"
    assert headers["openai-organization"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["access-control-expose-headers"] == "X-Request-ID"
    assert "access-control-allow-origin" not in headers


def test_time_and_limits_are_sent_except_on_a_404(shared_server):
    for body, told in ((HI, True), ({**HI, "n": 0}, True), ({**HI, "model": "foo"}, False)):
        headers = httpx.post(f"{shared_server.url}/v1/chat/completions", json=body).headers
        assert ("openai-processing-ms" in headers) == told
        assert ("x-ratelimit-limit-requests" in headers) == told
        if told:
            assert int(headers["openai-processing-ms"]) < 1000
            assert headers["x-ratelimit-limit-requests"] == "256"
            assert int(headers["x-ratelimit-remaining-requests"]) <= 256
