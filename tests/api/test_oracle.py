"""Replays recorded requests, where their file is at hand, and compares what was recorded.

The rows give status, the four error fields, and exact key sets; keys of later versions of the API
are allowed besides. Streams are also held to the grammar that all recorded ones follow.
"""

import json
import re

import httpx
import pytest

from tests.real_model import ROOT

ROWS = ROOT / "../shared/oracle/examples.jsonl"
LATER = {"metadata", "moderation", "text_tokens", "image_tokens", "cache_write_tokens"}


def rows():
    if not ROWS.exists():
        return []
    return [json.loads(line) for line in ROWS.read_text().splitlines()]


@pytest.mark.skipif(not ROWS.exists(), reason="the recorded requests are not on this machine")
def test_every_recorded_request_is_answered_as_it_was(shared_server):
    wrong = {}
    with httpx.Client(base_url=shared_server.url, timeout=30) as client:
        for row in rows():
            answer = client.post("/v1/chat/completions", json=row["request"])
            try:
                compare(answer, row)
            except AssertionError as difference:
                wrong[f"{row['key']} {row['name']}"] = str(difference)
    assert not wrong, json.dumps(wrong, indent=1)


def compare(answer, row):
    expect = row["expect"]
    assert answer.status_code == expect["status"], answer.text
    assert re.fullmatch(r"req_[0-9a-f]{32}", answer.headers["x-request-id"])
    if "error" in expect:
        compare_error(answer.json()["error"], expect["error"])
    elif "body" in expect:
        compare_body(answer.json(), expect["body"])
    else:
        compare_stream(answer, expect["stream"], row["request"])


def compare_error(error, expected):
    assert set(error) == {"message", "type", "param", "code"}
    for field in ("type", "param", "code"):
        assert error[field] == expected[field], error
    if "message_pattern" in expected:
        assert re.fullmatch(expected["message_pattern"], error["message"]), error
    else:
        assert error["message"] == expected["message"]


def same_keys(found, expected, where):
    assert set(found) - LATER == set(expected), where


def compare_body(body, expected):
    same_keys(body, expected["top"], "top")
    assert body["choices"]
    for choice in body["choices"]:
        same_keys(choice, expected["choice"], "choice")
        same_keys(choice["message"], expected["message"], "message")
    compare_usage(body["usage"], expected)
    entries = [len((c["logprobs"] or {}).get("content") or []) for c in body["choices"]]
    if all(choice["logprobs"] for choice in body["choices"]):
        ends = sum(choice["finish_reason"] == "stop" for choice in body["choices"])
        assert body["usage"]["completion_tokens"] == sum(entries) + ends


def compare_usage(usage, expected):
    same_keys(usage, expected["usage"], "usage")
    same_keys(usage["prompt_tokens_details"], expected["prompt_details"], "prompt details")
    details = usage["completion_tokens_details"]
    same_keys(details, expected["completion_details"], "completion details")
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def compare_stream(answer, expected, request):
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    events = [event.removeprefix("data: ") for event in answer.text.split("\n\n") if event]
    assert events.pop() == "[DONE]"
    chunks = [json.loads(event) for event in events]
    options = request.get("stream_options") or {}
    for chunk in chunks:
        padded = options.get("include_obfuscation", True)
        assert isinstance(chunk.pop("obfuscation", None), str if padded else type(None))
        assert ("usage" in chunk) == bool(options.get("include_usage"))
    if options.get("include_usage"):
        last = chunks.pop()
        assert last["choices"] == []
        compare_usage(last.pop("usage"), expected)
        same_keys(last, expected["chunk"], "usage chunk")
        assert all(chunk.pop("usage") is None for chunk in chunks)
    seen = {}
    for chunk in chunks:
        same_keys(chunk, expected["chunk"], "chunk")
        (choice,) = chunk["choices"]
        same_keys(choice, expected["choice"], "choice")
        seen.setdefault(choice["index"], []).append(choice)
    assert len(seen) == request.get("n", 1)
    for choices in seen.values():
        assert choices[0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
        assert choices[-1]["delta"] == {}
        assert choices[-1]["finish_reason"] in ("stop", "length")
        assert all(choice["finish_reason"] is None for choice in choices[:-1])
