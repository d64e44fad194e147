"""Section F: giant prompts, and the edge of the context."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from tests.attacks.case import ASK, Case, Check, Target, ask, faults_of

OPTIONS = ()


def said(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


def edge(*places: int) -> Check:
    """A prompt that leaves so many places of the context free, with each limit of the answer."""

    async def check(target: Target) -> list[str]:
        window = (await target.client.get("/v1/models")).json()["data"][0]["context_length"]
        base = (await target.post(ASK | said("a"))).json()["usage"]["prompt_tokens"]
        faults = []
        for free, limit in itertools.product(places, (None, 1, 2)):
            body = ASK | said("a" + " a" * (window - base - free)) | {"max_tokens": limit}
            answer = await target.post(body)
            if free < 1:
                faults += faults_of(answer, 400, "messages", "context_length_exceeded")
            elif found := faults_of(answer, 200):
                faults += found
            elif (end := answer.json()["choices"][0]["finish_reason"]) != "length":
                faults.append(f"{free} places, limit {limit}: {end}")
        return faults

    return check


async def full_cache(target: Target) -> list[str]:
    """Row 86: more prompts at once than the cache holds. All are answered."""
    bodies = [ASK | said(f"{at} " * 900) for at in range(12)]
    answers = await asyncio.gather(*map(target.post, bodies))
    return [fault for answer in answers for fault in faults_of(answer, 200)]


async def many_prompts(target: Target) -> list[str]:
    """Row 87, in little: prompts that nobody sends again."""
    places = asyncio.Semaphore(8)

    async def one(at: int) -> list[str]:
        async with places:
            return faults_of(await target.post(ASK | said(f"{at} " * 30) | {"max_tokens": 1}), 200)

    found = await asyncio.gather(*map(one, range(300)))
    return [fault for faults in found for fault in faults]


async def true_limit(target: Target) -> list[str]:
    """Row 90: the list and the error name the model's own window."""
    window = (await target.client.get("/v1/models")).json()["data"][0]["context_length"]
    answer = await target.post(ASK | said("a " * 20_000))
    said_so = str(window) in answer.json()["error"]["message"]
    return [] if said_so else [f"{window} is not in {answer.text}"]


CASES: list[Case] = [
    Case(83, "just too long", edge(-1, 0)),
    Case(84, "just short enough", edge(1, 2)),
    ask(85, "4 MB", lambda: said("long " * 780_000), param="messages",
        code="context_length_exceeded", quick=True),
    *(ask(85, f"4 MB as {name}", lambda message=message: {"messages": [
        message, {"role": "user", "content": "Hi"}
    ]}, code="context_length_exceeded")
      for name, message in (
          ("refusal", {"role": "assistant", "content": None, "refusal": "long " * 780_000}),
          ("system", {"role": "system", "content": "long " * 780_000}),
          ("parts", {"role": "user", "content": [
              {"type": "text", "text": "long " * 780} for _ in range(1_000)
          ]}),
          ("old call", {"role": "assistant", "content": None, "function_call": {
              "name": "f", "arguments": "long " * 780_000
          }}),
      )),
    ask(85, "4 MB of prediction", lambda: {
        "prediction": {"type": "content", "content": "long " * 780_000}
    }, (200, 400)),
    ask(85, "4 MB of reasoning", lambda: {"messages": [
        {"role": "assistant", "content": "x", "reasoning_content": "long " * 780_000},
        {"role": "user", "content": "Hi"},
    ]}, (200, 400)),
    Case(86, "12 half windows", full_cache),
    Case(87, "300 prompts", many_prompts),
    Case(90, "the limit is told", true_limit, quick=True),
]  # fmt: skip
