"""A real base model of another family over HTTP: its file has no chat template."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.gemma_model import gemma_model
from tests.real_model import real_server

pytestmark = [pytest.mark.model, pytest.mark.thorough, pytest.mark.timeout(900)]  # it is fetched

LIST = {"role": "user", "content": "Monday, Tuesday, Wednesday,"}


@pytest.fixture(scope="module")
def url():
    with real_server("--model", f"gemma={gemma_model()}") as server:
        yield f"{server.url}/v1/chat/completions"


def ask(url, **options):
    sent = {"model": "gemma", "messages": [LIST], "temperature": 0, "max_tokens": 8, **options}
    return httpx.post(url, json=sent, timeout=120)


def test_it_continues_a_text_streamed_or_not(url):
    (choice,) = ask(url).json()["choices"]
    assert choice["message"]["content"].startswith(" Thursday, Friday, Saturday")
    assert choice["finish_reason"] == "length"
    events = ask(url, stream=True).text.split("\n\n")
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
    deltas = [chunk["choices"][0]["delta"].get("content") for chunk in chunks]
    assert "".join(filter(None, deltas)) == choice["message"]["content"]


def test_it_keeps_to_a_schema_and_calls_a_function(url):
    days = {"type": "object", "properties": {"day": {"enum": ["Thursday", "Sunday"]}}}
    days |= {"required": ["day"], "additionalProperties": False}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": days, "strict": True}}
    said = ask(url, response_format=wanted, max_tokens=20).json()["choices"][0]["message"]
    assert json.loads(said["content"])["day"] in ("Thursday", "Sunday")
    tool = {"type": "function", "function": {"name": "next_day", "parameters": days}}
    asked = ask(url, tools=[tool], tool_choice="required", max_tokens=60, parallel_tool_calls=False)
    (call,) = asked.json()["choices"][0]["message"]["tool_calls"]
    assert call["function"]["name"] == "next_day"
    assert json.loads(call["function"]["arguments"])["day"] in ("Thursday", "Sunday")
