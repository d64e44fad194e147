import os
import time

import httpx
import pytest

from minikin.api.access.key import HASHED, digest
from tests.fakes import ScriptedEngine
from tests.patience import until
from tests.raw_http import HI

ADA, BOB, OPS = "mk-ada-0123456789", "mk-bob-0123456789", "mk-ops-0123456789"


def ask(server, key=None, path="/v1/models", **body):
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    if body:
        return httpx.post(server.url + path, json=body, headers=headers)
    return httpx.get(server.url + path, headers=headers)


def chat(server, key, **more):
    return ask(server, key, "/v1/chat/completions", **HI, **more)


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "keys"
    file.write_text(f"{ADA}\n{HASHED}{digest(BOB)} name=bob requests=2\n{OPS} admin\n")
    return file


def replace(file, text):
    """As editors do it: a new file in place of the old one."""
    new = file.with_suffix(".new")
    new.write_text(text)
    os.replace(new, file)


def test_a_hashed_key_opens_and_a_removed_key_does_not(serve, file):
    server = serve(api_key_file=file)
    assert ask(server, ADA).status_code == ask(server, BOB).status_code == 200
    assert ask(server, digest(BOB)).status_code == 401
    replace(file, f"{BOB}\n")
    until(lambda: ask(server, ADA).status_code == 401)
    assert ask(server, BOB).status_code == 200


@pytest.mark.parametrize("bad", ["two words\n", "", None])
def test_a_bad_edit_keeps_the_old_keys(serve, file, caplog, bad):
    server = serve(api_key_file=file)
    if bad is None:
        file.unlink()
    else:
        replace(file, bad)
    until(lambda: "The API keys stay as they were" in caplog.text)
    assert ask(server, ADA).status_code == 200
    assert ask(server).status_code == 401
    replace(file, f"{ADA}\nmk-new-0123456789\n")
    until(lambda: ask(server, "mk-new-0123456789").status_code == 200)


def test_limits_are_those_of_the_key_and_outlive_an_edit(serve, file):
    server = serve(api_key_file=file)
    first, second, third = (chat(server, BOB) for _ in range(3))
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    assert second.headers["x-ratelimit-reset-requests"].endswith("s")
    assert third.status_code == 429
    assert third.json()["error"]["code"] == "rate_limit_exceeded"
    assert third.json()["error"]["type"] == "requests"
    assert 0 < int(third.headers["retry-after-ms"]) <= 30_000
    assert int(third.headers["retry-after"]) * 1000 >= int(third.headers["retry-after-ms"])
    assert chat(server, ADA).status_code == 200
    replace(file, f"{BOB} name=bob requests=2\n")
    until(lambda: ask(server, ADA).status_code == 401)
    assert chat(server, BOB).status_code == 429


def test_tokens_of_prompts_and_answers_count(serve, tmp_path):
    file = tmp_path / "keys"
    file.write_text(f"{ADA} tokens=2000\n")
    server = serve(api_key_file=file)
    headers = chat(server, ADA, max_tokens=1500).headers
    assert headers["x-ratelimit-limit-tokens"] == "2000"
    # While the answer runs, it counts with its limit; afterwards, with its length.
    assert int(headers["x-ratelimit-remaining-tokens"]) < 500
    later = chat(server, ADA)
    assert later.status_code == 200
    assert int(later.headers["x-ratelimit-remaining-tokens"]) > 1500
    large = chat(server, ADA, max_tokens=2000)
    assert large.status_code == 429
    assert large.json()["error"]["type"] == "tokens"
    assert "Request too large" in large.json()["error"]["message"]
    assert large.headers["x-should-retry"] == "false"


def test_a_key_can_run_so_many_requests_at_once(serve, tmp_path):
    file = tmp_path / "keys"
    file.write_text(f"{ADA} concurrent=1\n{BOB}\n")
    server = serve(ScriptedEngine(pause=0.5), api_key_file=file)
    headers = {"Authorization": f"Bearer {ADA}"}
    with httpx.stream(
        "POST", f"{server.url}/v1/chat/completions", json={**HI, "stream": True}, headers=headers
    ) as running:
        assert running.status_code == 200
        assert chat(server, ADA).status_code == 429
        assert chat(server, BOB).status_code == 200
    until(lambda: chat(server, ADA).status_code == 200)


def test_an_admin_key_closes_the_metrics_to_others(serve, file):
    server = serve(api_key_file=file)
    assert ask(server, OPS, "/metrics").status_code == 200
    refused = ask(server, ADA, "/metrics")
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "admin_key_needed"
    assert ask(server, None, "/metrics").status_code == 401
    assert chat(server, OPS).status_code == 200


def test_an_admin_key_alone_leaves_the_api_open(serve):
    server = serve(admin_keys=(OPS,))
    assert chat(server, None).status_code == 200
    assert ask(server, None, "/metrics").status_code == 401
    assert ask(server, OPS, "/metrics").status_code == 200


def test_the_log_names_the_key(serve, file, caplog):
    server = serve(api_key_file=file)
    with caplog.at_level("INFO", "minikin.access"):
        chat(server, BOB)
        until(lambda: "key=bob" in caplog.text)
    assert BOB not in caplog.text


def test_a_removed_key_is_refused_within_a_second(serve, file):
    server = serve(api_key_file=file)
    replace(file, f"{BOB}\n")
    begun = time.monotonic()
    until(lambda: ask(server, ADA).status_code == 401)
    assert time.monotonic() - begun < 30  # a busy machine; LOOK_SECONDS is what counts
