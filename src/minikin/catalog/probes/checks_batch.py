"""The check of batches: a file of requests goes up, and a file of answers comes back."""

from __future__ import annotations

import json
import time

from minikin.catalog.probes.checks_text import STORY
from minikin.catalog.probes.probe import Asker, Body, Failed, Inconclusive

_PATIENCE = 60.0
"""Seconds until a batch counts as not done. OpenAI promises a day."""
_PROMPTS = {"sea": STORY, "soil": "List five kinds of vegetables."}


def batch(asker: Asker) -> str:
    """Two requests in a file get two answers, each under its own name."""
    lines = [
        {
            "custom_id": name,
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": asker.request(prompt, max_tokens=14, **asker.greedy),
        }
        for name, prompt in _PROMPTS.items()
    ]
    data = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
    file = asker.offered(asker.client.upload("/files", "probe.jsonl", data, purpose="batch")).body
    asked = {
        "input_file_id": file["id"],
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    }
    made = _ended(asker, asker.offered(asker.client.post("/batches", asked)).body)
    if made["status"] != "completed":
        raise Failed(f"the batch is {made['status']!r}")
    output = asker.accepted(asker.client.look(f"/files/{made['output_file_id']}/content"))
    for used in (file["id"], made["output_file_id"]):
        asker.client.delete(f"/files/{used}")
    _judge(asker, [json.loads(line) for line in output.text.splitlines() if line])
    return f"{len(lines)} requests of a file got {len(lines)} answers"


def _ended(asker: Asker, made: Body) -> Body:
    """The batch at its end. Raises Inconclusive, and cancels it, if it does not end."""
    until = time.monotonic() + _PATIENCE
    while made["status"] in ("validating", "in_progress", "finalizing"):
        if time.monotonic() > until:
            asker.client.post_unrecorded(f"/batches/{made['id']}/cancel", {})
            raise Inconclusive(f"the batch did not end in {_PATIENCE:.0f} s")
        time.sleep(0.5)
        made = asker.client.get(f"/batches/{made['id']}")
    return made


def _judge(asker: Asker, rows: list[Body]) -> None:
    if sorted(row["custom_id"] for row in rows) != sorted(_PROMPTS):
        raise Failed(f"{len(rows)} answers, not one for each of {len(_PROMPTS)} requests")
    texts = {
        row["custom_id"]: row["response"]["body"]["choices"][0]["message"]["content"]
        for row in rows
    }
    if not all(texts.values()) or len(set(texts.values())) < len(texts):
        raise Failed("two different requests got no answers, or equal ones")
    for name, prompt in _PROMPTS.items():
        direct = asker.ask(prompt, max_tokens=14, **asker.greedy).text
        if any(text == direct for other, text in texts.items() if other != name):
            raise Failed("an answer has the name of another request")
