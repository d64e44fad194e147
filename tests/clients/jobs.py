"""Small jobs that every client library does: an object to fill in, and a tool to call."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

PROGRAMS = Path(__file__).parent / "programs"
"""What clients in other languages run."""
MODEL = "gpt-4.1-mini"
REVIEW = "The soup was cold and the waiter rude. I paid 12 euros for two plates."
"""What there is to fill in about."""
WEATHER_QUESTION = "What is the weather in Paris?"


class Dish(BaseModel):
    kind: Literal["soup", "bread", "cake"]
    plates: int = Field(ge=0, le=20)


class Review(BaseModel):
    """A review of a restaurant."""

    mood: Literal["good", "bad"]
    dishes: list[Dish] = Field(max_length=3)
    price: float | None


def weather(city: Literal["Paris", "Rome", "Oslo"], days: int) -> str:
    """The weather in a city, for some days."""
    return f"Sunny in {city} for {days} days."


def printed(command: list[str | Path]) -> dict[str, Any]:
    """Run a program, and return the JSON object of its last line."""
    run = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def chat_in_both_ways(base_url: str, command: list[str | Path]) -> None:
    """Run a program that posts bodies, and compare a plain answer and a streamed one.

    Its arguments are the URL and the bodies. It prints a line with the status of each answer, and
    one with its body, in which U+001E stands for a line break.
    """
    ask = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "What is the capital of France?"}],
        "temperature": 0,
        "max_tokens": 24,
    }
    bodies = [json.dumps(body) for body in (ask, {**ask, "stream": True}, {**ask, "n": 0})]
    url = f"{base_url}/chat/completions"
    run = subprocess.run([*command, url, *bodies], capture_output=True, text=True, timeout=240)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.removesuffix("\n").split("\n")
    statuses, answers = lines[::2], lines[1::2]
    assert statuses == ["200", "200", "400"]
    plain = json.loads(answers[0])["choices"][0]["message"]["content"]
    assert "Paris" in plain
    *events, done, _ = answers[1].split("\x1e\x1e")
    assert done == "data: [DONE]"
    chunks = [json.loads(event.removeprefix("data: ")) for event in events]
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks) == plain
    assert json.loads(answers[2])["error"]["param"] == "n"
