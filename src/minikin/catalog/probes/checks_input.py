"""Checks of long prompts, and of the Responses API beside chat."""

from __future__ import annotations

import json
import secrets
from typing import Any, NamedTuple

from minikin.catalog.probes.checks_text import STORY
from minikin.catalog.probes.client import Reply
from minikin.catalog.probes.probe import Asker, Body, Failed, Ignored, Inconclusive

LINES = 160
"""Lines of the long prompt: about 3,000 tokens, which most servers accept."""
_DEPTHS = (0, 25, 50, 75, 100)
_BEGINNING = 2
"""Lines before the first code. Models attend to their very first tokens in a way of their own."""
NEEDLE = "Remember: the code of the harbour door is {}."
ASKED_CODE = "What is the code of the harbour door? Answer with the code."
_TRIALS = 4


def long_context(asker: Asker) -> str:
    """A code is found at five depths of a long prompt, and all of the prompt is counted."""
    if not _find(asker, 3, 50).found:
        raise Inconclusive("the model does not find a code in a short prompt either")
    seen = {depth: _find(asker, LINES, depth) for depth in _DEPTHS}
    size = max(one.size for one in seen.values())
    if size and size < 9 * LINES:
        raise Failed(f"a prompt of more than {9 * LINES} words counts as {size} tokens")
    if cut := [depth for depth, one in seen.items() if one.is_cut]:
        raise Failed(f"the code changes nothing at these depths of {size} tokens: {_shares(cut)}")
    if missed := [depth for depth, one in seen.items() if not one.found]:
        raise Inconclusive(
            f"the server reads codes at all depths of {size} tokens, and the model does not repeat "
            f"them at {_shares(missed)}"
        )
    return f"a code is found at {len(seen)} depths of {size} tokens"


def _shares(depths: list[int]) -> str:
    return ", ".join(f"{depth}%" for depth in depths)


class _Search(NamedTuple):
    """What answers showed of a code. `size` is the tokens of the prompt."""

    found: bool
    is_cut: bool
    size: int


def _find(asker: Asker, lines: int, depth: int) -> _Search:
    """Ask for a code in a prompt of so many lines, until an answer has it."""
    texts: set[str] = set()
    size = 0
    for _ in range(_TRIALS):
        code = new_code()
        answer = asker.answered(_ask(asker, lines, depth, code, max_tokens=24))
        size = answer.prompt_tokens
        if code in answer.text:
            return _Search(True, False, size)
        texts.add(answer.text)
    numbers = {_number(asker, lines, depth) for _ in range(2)}
    # A small model can read a code and not repeat it. The numbers of its first token show that.
    is_cut = len(texts) == 1 if None in numbers else len(numbers) == 1
    return _Search(False, is_cut, size)


def _number(asker: Asker, lines: int, depth: int) -> float | None:
    """The log probability of the first token after a prompt with a new code, if it is known."""
    fields = {"max_tokens": 1, "logprobs": True, "top_logprobs": 1}
    reply = _ask(asker, lines, depth, new_code(), **fields)
    try:
        return reply.body["choices"][0]["logprobs"]["content"][0]["logprob"]
    except (KeyError, IndexError, TypeError):
        return None


def new_code() -> str:
    """Four digits that no model can know."""
    return str(1000 + secrets.randbelow(9000))


def _ask(asker: Asker, lines: int, depth: int, code: str, **fields: Any) -> Reply:
    story = [
        f"Line {number}: the keeper wrote that the wind came from the north."
        for number in range(1, lines + 1)
    ]
    story.insert(max(lines * depth // 100, _BEGINNING), NEEDLE.format(code))
    reply = asker.send("\n".join([*story, ASKED_CODE]), **fields, **asker.greedy)
    if reply.status in (400, 413, 422) and "context" in reply.text:
        raise Inconclusive(f"the context is too short: {asker.complaint(reply)}")
    return reply


_LIMIT = 16
"""The smallest limit that OpenAI's Responses API accepts."""


def responses(asker: Asker) -> str:
    """The Responses API answers, counts, limits and streams like chat completions."""
    plain = _created(asker, STORY)
    other = _created(asker, "List five kinds of vegetables.")
    texts = [_text(body) for body in (plain, other)]
    if asker.thoughts and not all(texts):
        raise Inconclusive("only thoughts, no answer")
    if not all(texts) or texts[0] == texts[1]:
        raise Failed("two different inputs get no answers, or equal ones")
    listed = _created(asker, [{"role": "user", "content": STORY}])
    if _input_tokens(listed) != _input_tokens(plain):
        raise Failed("a message in a list has another number of tokens than the same text")
    # Each can replace instructions that a template has by default.
    short, long = (
        _input_tokens(_created(asker, STORY, instructions=text))
        for text in ("Be brief.", "Be brief. Speak of no animals, no boats, no birds and no fish.")
    )
    if long < short + 8:
        raise Ignored(f"12 more words of instructions add {long - short} tokens to the input")
    count = _judge_stream(asker)
    return f"two inputs, two answers; {count} deltas of a stream"


def max_output_tokens(asker: Asker) -> str:
    """Answers of the Responses API have at most the allowed tokens, and say when they are cut."""
    counts = [_judged(asker, limit + asker.thoughts) for limit in (_LIMIT, 2 * _LIMIT)]
    return f"{counts[0]} and {counts[1]} tokens of 16 and 32, and the reason where they end"


def _request(asker: Asker, given: Any, **fields: Any) -> Body:
    greedy = {name: value for name, value in asker.greedy.items() if name != "seed"}
    effort = {"reasoning": {"effort": e}} if (e := asker.thinking.get("reasoning_effort")) else {}
    limit = _LIMIT + asker.thoughts
    body = {"model": asker.model, "input": given, "max_output_tokens": limit, "store": False}
    return {**body, **greedy, **effort, **fields}


def _created(asker: Asker, given: Any, **fields: Any) -> Body:
    reply = asker.accepted(asker.client.post("/responses", _request(asker, given, **fields)))
    if not isinstance(reply.body, dict) or reply.body.get("object") != "response":
        raise Failed("the answer is not a response")
    return reply.body


def _text(body: Body) -> str:
    """The text of all messages of a response."""
    parts = [p for item in body["output"] if item["type"] == "message" for p in item["content"]]
    return "".join(part["text"] for part in parts if part["type"] == "output_text")


def _input_tokens(body: Body) -> int:
    return int(body["usage"]["input_tokens"])


def _judged(asker: Asker, allowed: int) -> int:
    """The tokens of an answer with this limit. Raises Absent, Ignored, Failed."""
    asked = _request(asker, STORY, max_output_tokens=allowed)
    body = asker.offered(asker.client.post("/responses", asked)).body
    count = body["usage"]["output_tokens"]
    if count > allowed:
        raise Ignored(f"{count} tokens, but {allowed} were allowed")
    if count == allowed:
        reason = (body.get("incomplete_details") or {}).get("reason")
        if (body["status"], reason) != ("incomplete", "max_output_tokens"):
            raise Failed(f"status {body['status']!r} with the reason {reason!r} at the limit")
    return count


def _judge_stream(asker: Asker) -> int:
    """The number of deltas, which add up to the text of the last event."""
    reply = asker.client.post("/responses", _request(asker, STORY, stream=True))
    events = _events(asker.accepted(reply))
    if not events:
        raise Ignored("got a plain answer instead of a stream")
    if events[0]["type"] != "response.created":
        raise Failed(f"the stream begins with {events[0]['type']!r}")
    if events[-1]["type"] not in ("response.completed", "response.incomplete"):
        raise Failed(f"the stream ends with {events[-1]['type']!r}")
    deltas = [e["delta"] for e in events if e["type"] == "response.output_text.delta"]
    if "".join(deltas) != _text(events[-1]["response"]):
        raise Failed("the deltas do not add up to the text of the last event")
    if len(deltas) < 2:
        raise Failed(f"the text came in {len(deltas)} delta")
    return len(deltas)


def _events(reply: Reply) -> list[Body]:
    data = (line[5:].strip() for _, line in reply.arrivals if line.startswith("data:"))
    return [json.loads(text) for text in data if text != "[DONE]"]
