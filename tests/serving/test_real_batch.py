"""A batch of the default model on a server that is killed again and again."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager

import openai
import pytest

from tests.real_model import default_model, real_server

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(3_600)]

LINES = 2_000
KILLED_AT = (300, 800, 1_400)
"""Finished lines."""
ENDED = ("completed", "failed", "expired", "cancelled")


def written(number):
    """A line. Every tenth has a fault, which only its own answer shows."""
    body = {
        "model": "gpt-4.1-mini",
        "messages": [{"role": "user", "content": f"Say a word about the number {number}."}],
        "max_tokens": 12,
        "temperature": 9 if number % 10 == 7 else 1,
    }
    url = "/v1/chat/completions"
    return json.dumps({"custom_id": f"l{number}", "method": "POST", "url": url, "body": body})


@contextmanager
def served(folder):
    """A server on this folder, and a client for it."""
    places = ("--database", str(folder / "store.sqlite3"), "--files", str(folder / "files"))
    with (
        real_server(*places) as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=8) as client,
    ):
        yield server, client


def waited(client, batch, until):
    """The batch, and how many of its lines are finished, when `until` holds for both."""
    while True:
        found = client.batches.retrieve(batch)
        finished = found.request_counts.completed + found.request_counts.failed
        if until(found, finished) or found.status in ENDED:
            return found, finished
        time.sleep(0.1)


def ids(client, file):
    return [json.loads(line)["custom_id"] for line in client.files.content(file).text.splitlines()]


def test_each_line_is_in_one_file_after_three_kills(tmp_path):
    default_model()
    finished = 0
    with served(tmp_path) as (server, client):
        content = "\n".join(map(written, range(LINES))).encode()
        file = client.files.create(file=("in.jsonl", content), purpose="batch").id
        batch = client.batches.create(
            input_file_id=file, endpoint="/v1/chat/completions", completion_window="24h"
        ).id
        _, finished = waited(client, batch, lambda _, done: done >= KILLED_AT[0])
        server.process.kill()
        server.process.wait()
    for kill_at in (*KILLED_AT[1:], LINES):
        with served(tmp_path) as (server, client):
            _, after = waited(client, batch, lambda *_: True)
            assert after >= finished, "no finished line is lost"
            found, finished = waited(client, batch, lambda _, done, at=kill_at: done >= at)
            if kill_at < LINES:
                server.process.kill()
                server.process.wait()
                continue
            found, _ = waited(client, batch, lambda *_: False)
            assert found.status == "completed"
            refused = LINES // 10
            counts = {"total": LINES, "completed": LINES - refused, "failed": refused}
            assert found.request_counts.to_dict() == counts
            answers = ids(client, found.output_file_id)
            errors = ids(client, found.error_file_id)
            assert len(answers) == LINES - refused
            assert sorted(answers + errors) == sorted(f"l{number}" for number in range(LINES))
