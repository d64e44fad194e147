"""What one client could stop all others with, beyond the rows: many large requests at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from tests.attacks.case import ASK, CHAT, Case, Target, faults_of
from tests.attacks.section_d import calls

OPTIONS = ()
RESPONSES = "/v1/responses"


def at_once(
    name: str, count: int, body: Callable[[], Any], status: int | tuple[int, ...],
    path: str = CHAT, row: int = 0,
) -> Case:  # fmt: skip
    """So many of these requests at the same time."""

    async def check(target: Target) -> list[str]:
        made = body()
        content = made if isinstance(made, bytes) else json.dumps(made).encode()
        answers = await asyncio.gather(*(target.post(content, path) for _ in range(count)))
        return [fault for answer in answers for fault in faults_of(answer, status)]

    return Case(row, f"{count} x {name}", check)


def large_tools(count: int = 100) -> list[dict[str, Any]]:
    return [{"type": "function", "name": f"f{at}", "description": "d", "parameters": {
        "type": "object", "properties": {f"p{name}": {"type": "string"} for name in range(30)},
    }} for at in range(count)]  # fmt: skip


async def stored_answers(target: Target) -> list[str]:
    """100 stored answers with large tools, listed and read by several clients at once."""
    body = ASK | {"store": True, "max_tokens": 1, "metadata": {"a": "b"}, "tool_choice": "none",
                  "tools": [{"type": "function", "function": {
                      "name": each["name"], "parameters": each["parameters"]
                  }} for each in large_tools(60)]}  # fmt: skip
    places = asyncio.Semaphore(4)

    async def one() -> list[str]:
        async with places:
            return faults_of(await target.post(body), (200, 400))

    await asyncio.gather(*(one() for _ in range(100)))
    pages = await asyncio.gather(*(target.client.get(f"{CHAT}?limit=100") for _ in range(4)))
    faults = [fault for page in pages for fault in faults_of(page, 200)]
    if not pages[0].json()["data"]:
        faults.append("nothing was stored")
    for stored in pages[0].json()["data"]:
        await target.client.delete(f"{CHAT}/{stored['id']}")
    return faults


async def large_responses(target: Target) -> list[str]:
    """Responses with large inputs: stored, continued, read with their items."""
    body = {"model": "gpt-4.1-mini", "input": "Hi", "max_output_tokens": 16,
            "tools": large_tools(), "tool_choice": "none"}  # fmt: skip
    made = await asyncio.gather(*(target.post(body, RESPONSES) for _ in range(8)))
    faults = [fault for answer in made for fault in faults_of(answer, (200, 400))]
    for answer in made:
        if answer.status_code == 200:
            path = f"{RESPONSES}/{answer.json()['id']}"
            read = await target.client.get(path)
            items = await target.client.get(f"{path}/input_items")
            faults += faults_of(read, 200) + faults_of(items, 200)
    return faults


async def offerings(target: Target) -> list[str]:
    asked = (target.client.get("/catalog/offerings?limit=500") for _ in range(16))
    return [fault for answer in await asyncio.gather(*asked) for fault in faults_of(answer, 200)]


def pattern_ask(pattern: str) -> dict[str, Any]:
    schema = {"type": "string", "pattern": pattern}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    return ASK | {"response_format": wanted, "max_tokens": 60}


CASES: list[Case] = [
    at_once("empty arrays", 4, lambda: b"[" + b"[]," * 1_300_000 + b"[]]", 400),
    at_once("empty objects in an option", 4, lambda: ASK | {
        "prompt_cache_options": [{}] * 180_000
    }, (200, 400)),
    at_once("1 MB of words to /tokenize", 16, lambda: {"text": "word " * 200_000}, 200,
            "/tokenize"),
    at_once("190,000 ids to /detokenize", 8, lambda: {"ids": [5] * 190_000}, 200, "/detokenize"),
    at_once("3.9 MB of call arguments", 24, lambda: ASK | calls("x" * 3_900_000), 400, row=71),
    at_once("240 KB of call arguments", 8, lambda: ASK | calls("x " * 120_000), (200, 400)),
    at_once("prompt of the window", 4, lambda: ASK | {"messages": [
        {"role": "user", "content": "a " * 7_900}]}, 200),
    at_once("4 MB of text for a response", 8, lambda: {
        "model": "gpt-4.1-mini", "input": "long " * 780_000}, 400, RESPONSES),
    at_once("4,000 items for a response", 4, lambda: {"model": "gpt-4.1-mini", "input": [
        {"role": "user", "content": "a"}] * 4_000}, (200, 400), RESPONSES),
    at_once("count of 4 MB", 4, lambda: {
        "model": "gpt-4.1-mini", "input": "long " * 780_000}, (200, 400),
        f"{RESPONSES}/input_tokens"),
    at_once("answers with a slow grammar", 8, lambda: pattern_ask("(.*a){20}"), (200, 400)),
    at_once("128 choices with log probabilities", 1, lambda: ASK | {
        "n": 128, "logprobs": True, "top_logprobs": 20, "max_tokens": 60}, 200),
    Case(0, "100 stored answers listed", stored_answers),
    Case(0, "responses with large tools", large_responses),
    Case(0, "16 x 500 offerings", offerings),
]  # fmt: skip
