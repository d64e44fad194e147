"""The chunks of a stream, and the one answer that they add up to."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from minikin.catalog.probes.client import Reply

Body = dict[str, Any]


class Stream(NamedTuple):
    """A stream as it came. `arrivals` are the seconds until each piece of text."""

    choice: Body
    """The first choice, folded into the form of a plain answer."""
    usage: Body
    deltas: list[Body]
    """The choices of all chunks."""
    arrivals: list[float]
    done: bool
    """Whether `[DONE]` is its last event."""
    first: Body
    """The first chunk."""


def read(reply: Reply) -> Stream | None:
    """The stream in a reply. None if it is a plain answer. Raises KeyError, ValueError."""
    events = [(at, line[5:].strip()) for at, line in reply.arrivals if line.startswith("data:")]
    if not events:
        return None
    chunks = [(at, json.loads(data)) for at, data in events if data != "[DONE]"]
    deltas = [(at, choice) for at, chunk in chunks for choice in chunk.get("choices") or []]
    said = [at for at, choice in deltas if choice["delta"].get("content")]
    usage = next((c["usage"] for _, c in reversed(chunks) if isinstance(c.get("usage"), dict)), {})
    every = [choice for _, choice in deltas]
    done = events[-1][1] == "[DONE]"
    return Stream(_fold(every), usage, every, said, done, chunks[0][1] if chunks else {})


def _fold(deltas: list[Body]) -> Body:
    """One choice with the text, the calls and the log probabilities of all deltas."""
    mine = [choice for choice in deltas if choice.get("index", 0) == 0]
    text = "".join(choice["delta"].get("content") or "" for choice in mine)
    entries = [
        entry for choice in mine for entry in (choice.get("logprobs") or {}).get("content") or []
    ]
    ends = [choice["finish_reason"] for choice in mine if choice.get("finish_reason")]
    message = {"role": "assistant", "content": text, "tool_calls": _calls(mine)}
    logprobs = {"content": entries} if entries else None
    finish = ends[-1] if ends else None
    return {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": finish}


def _calls(deltas: list[Body]) -> list[Body]:
    calls: dict[int, Body] = {}
    for choice in deltas:
        for part in choice["delta"].get("tool_calls") or []:
            empty: Body = {
                "id": None,
                "type": "function",
                "function": {"name": "", "arguments": ""},
            }
            call = calls.setdefault(part["index"], empty)
            call["id"] = part.get("id") or call["id"]
            for name in ("name", "arguments"):
                call["function"][name] += (part.get("function") or {}).get(name) or ""
    return [calls[index] for index in sorted(calls)]
