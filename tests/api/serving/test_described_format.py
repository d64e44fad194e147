"""What of `response_format` stands in the prompt."""

from __future__ import annotations

from typing import Any

import httpx
from msgspec.structs import replace

from tests.fakes import LiveServer, ScriptedEngine, settings

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "description": "Full name, in capitals"}},
}
WANTED = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}}
TOOL = {"type": "function", "function": {"name": "f"}}
TOLD = "Full name, in capitals"


def ask(server: LiveServer, content: str = "I'm Ann.", **options: Any) -> tuple[str, int]:
    """The prompt that the engine got, and how many tokens the usage says it has."""
    body = {"model": "tiny", "messages": [{"role": "user", "content": content}], **options}
    answer = httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    ids = server.engine.requests[-1].prompt
    return bytes(i for i in ids if i < 256).decode(), answer.json()["usage"]["prompt_tokens"]


def test_the_format_is_described_before_the_conversation_and_counted(shared_server: LiveServer):
    plain, few = ask(shared_server)
    one, many = ask(shared_server, response_format=WANTED)
    other, _ = ask(shared_server, "I'm Ann, and this is Bob.", response_format=WANTED)
    assert TOLD not in plain
    before, _, after = one.partition(TOLD)
    assert after.endswith(plain)
    assert other.startswith(before + TOLD)
    assert many - few >= len(TOLD)
    told, _ = ask(shared_server, "JSON!", response_format={"type": "json_object"})
    assert "Answer in JSON" in told


def test_the_format_is_not_described_if_a_call_is_required(shared_server: LiveServer):
    asked = {"response_format": WANTED, "tools": [TOOL]}
    assert TOLD in ask(shared_server, **asked)[0]
    assert TOLD not in ask(shared_server, **asked, tool_choice="required")[0]
    assert TOLD in ask(shared_server, **asked, tool_choice="none")[0]


def test_a_switch_leaves_it_out(serve):
    model = replace(settings().models[0], hide_format=True)
    assert TOLD not in ask(serve(models=(model,)), response_format=WANTED)[0]


def test_it_never_takes_the_room_of_the_answer(serve):
    server = serve(ScriptedEngine(window=600))
    assert TOLD in ask(server, response_format=WANTED)[0]
    long = "I'm Ann. " * 30
    assert TOLD not in ask(server, long, response_format=WANTED)[0]
