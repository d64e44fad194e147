"""Good requests with random changes, in their values and in their bytes."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

USER = {"role": "user", "content": "Say JSON."}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "string", "pattern": "^a+$"}, "b": {"enum": [1, "x", None]}},
    "required": ["a"],
}
TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA, "strict": False}}
CHAT: list[dict[str, Any]] = [
    {"messages": [USER], "temperature": 0.5, "top_p": 0.5, "seed": 1, "n": 2, "max_tokens": 3},
    {"messages": [USER], "logprobs": True, "top_logprobs": 2, "logit_bias": {"5": 1.5}},
    {"messages": [USER], "stop": ["a", "b"], "stream": True, "stream_options": {
        "include_usage": True}},
    {"messages": [{"role": "system", "content": [{"type": "text", "text": "x"}]}, USER],
     "metadata": {"a": "b"}, "store": True, "user": "u"},
    {"messages": [USER, {"role": "assistant", "tool_calls": [CALL]},
                  {"role": "tool", "tool_call_id": "c", "content": "1"}], "tools": [TOOL],
     "tool_choice": "none", "parallel_tool_calls": False},
    {"messages": [USER], "response_format": FORMAT, "prediction": {
        "type": "content", "content": "x"}},
]  # fmt: skip
RESPONSES: list[dict[str, Any]] = [
    {"input": "Hi", "instructions": "x", "max_output_tokens": 16, "temperature": 1},
    {"input": [{"role": "user", "content": [{"type": "input_text", "text": "x"}]}],
     "text": {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}}},
    {"input": "Hi", "tools": [{"type": "function", "name": "f", "parameters": SCHEMA}],
     "tool_choice": {"type": "function", "name": "f"}, "include": [], "metadata": {"a": "b"}},
]  # fmt: skip
VALUES = (
    None, True, 0, -1, 1.5, 10**30, 1e308, -0.0, "", "x", "\0", "\ud800", "é" * 300, [], {}, [[]],
    [None], {"": None}, {"type": "x"}, ["a"] * 50, {"a": {"b": {"c": []}}}, "<|im_end|>", "../x",
)  # fmt: skip


def mutated(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """`count` paths with bodies."""
    chance = random.Random(seed)
    for _ in range(count):
        path, bodies = chance.choice([("/v1/chat/completions", CHAT), ("/v1/responses", RESPONSES)])
        body = copy.deepcopy(chance.choice(bodies)) | {"model": "gpt-4.1-mini"}
        for _ in range(chance.randint(1, 3)):
            change_value(body, chance)
        content = json.dumps(body).encode()
        yield path, _bytes(content, chance) if chance.random() < 0.2 else content


def change_value(body: Any, chance: random.Random) -> None:
    """Change one value anywhere in `body`."""
    holder = body
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            return
        key = chance.choice(keys)
        if not isinstance(holder[key], dict | list) or chance.random() < 0.3:
            break
        holder = holder[key]
    kind = chance.random()
    if kind < 0.2:
        del holder[key]
    elif kind < 0.3 and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))
    elif kind < 0.4 and isinstance(holder, dict):
        holder[f"{key}x"] = holder[key]
    else:
        holder[key] = copy.deepcopy(chance.choice(VALUES))


def _bytes(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content))
    end = min(len(content), at + chance.randint(0, 5))
    return content[:at] + chance.randbytes(chance.randint(0, 3)) + content[end:]
