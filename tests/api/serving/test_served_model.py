import httpx
import pytest

LONG = "x" * 50_000


def said(**fields):
    return {"role": "assistant", "content": "Hm.", **fields}


def called(arguments):
    return {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}


@pytest.mark.parametrize(
    "message",
    [
        said(content=LONG),
        said(content=[{"type": "text", "text": LONG}]),
        said(content=[{"type": "refusal", "refusal": LONG}]),
        said(content=None, refusal=LONG),
        said(function_call={"name": "f", "arguments": LONG}),
        said(tool_calls=[called(LONG)]),
    ],
    ids=["text", "part", "refusal part", "refusal", "old call", "call"],
)
def test_no_text_of_a_message_is_rendered_if_it_cannot_fit(shared_server, message):
    result = {"role": "tool", "tool_call_id": "c", "content": "1"}
    messages = [message, *([result] if "tool_calls" in message else [])]
    body = {"model": "gpt-4.1-mini", "messages": messages}
    answer = httpx.post(f"{shared_server.url}/v1/chat/completions", json=body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == "context_length_exceeded"
    assert "more than" in error["message"], "it was rendered and counted"
