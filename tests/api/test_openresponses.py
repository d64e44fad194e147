"""Answers validated by Open Responses, a specification of several vendors."""

from __future__ import annotations

import httpx
import pytest

from tests.fakes import ScriptedEngine
from tests.patience import PATIENCE

types = pytest.importorskip("openresponses_types")

TOOL = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
CALL = ["Yes.", '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>']
THINKING = (
    "{% for message in messages %}{{ message.content }}{% endfor %}"
    "{{ '<|im_start|>' }}{# </think> #}"
)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"store": False, "metadata": {"a": "b"}, "temperature": 0, "truncation": "auto"},
        {"include": ["message.output_text.logprobs"], "top_logprobs": 2},
        {"tools": [TOOL], "tool_choice": "required", "max_output_tokens": 16},
        {"tools": [TOOL], "tool_choice": {"type": "function", "name": "f"}},
        {"max_output_tokens": 16, "input": [{"role": "user", "content": "x"}]},
        {"background": True},
    ],
)
@pytest.mark.parametrize("tokens", [["Hello"], CALL, ["<think>", "Hm", "</think>", "Yes"]])
def test_a_response_is_valid(serve, asked, tokens):
    template = {"template": THINKING} if "<think>" in tokens else {}
    server = serve(ScriptedEngine(tokens=tokens * 16), **template)
    body = {"model": "gpt-4.1-mini", "input": "Hi", **asked}
    made = httpx.post(f"{server.url}/v1/responses", json=body, timeout=PATIENCE).json()
    types.ResponseResource.model_validate(made)
    if made["store"]:
        kept = httpx.get(f"{server.url}/v1/responses/{made['id']}", timeout=PATIENCE).json()
        types.ResponseResource.model_validate(kept)
