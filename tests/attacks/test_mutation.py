import json

import httpx
import pytest

from tests.attacks.mutation import mutated

COUNTS = [400, pytest.param(20_000, marks=[pytest.mark.slow, pytest.mark.timeout(7_200)])]


@pytest.mark.parametrize("count", COUNTS)
def test_a_changed_request_is_answered_or_rejected(shared_server, count):
    statuses = set()
    with httpx.Client(base_url=shared_server.url) as client:
        for path, body in mutated(count, seed=count):
            answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
            assert answer.status_code in (200, 400, 404), (body, answer.text)
            if answer.status_code != 200:
                error = json.loads(answer.text)["error"]
                assert set(error) == {"message", "type", "param", "code"}, body
                assert error["type"] == "invalid_request_error", body
            statuses.add(answer.status_code)
    assert statuses >= {200, 400}
