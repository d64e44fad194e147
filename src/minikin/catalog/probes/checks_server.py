"""Checks of the server around the model: prediction, prompt cache, errors."""

from __future__ import annotations

import secrets
import time
from typing import Any

from minikin.catalog.probes.checks_text import STORY
from minikin.catalog.probes.client import Reply
from minikin.catalog.probes.probe import Asker, Failed, Ignored


def prediction(asker: Asker) -> str:
    """The model's own answer is accepted as a prediction, nonsense is not. The text stays."""
    # One of three can differ by chance, and is then not what the model predicts.
    plain = {asker.ask(STORY, max_tokens=32, **asker.greedy).text for _ in range(3)}
    right = max(_accepted(asker, guess, plain) for guess in sorted(plain))
    wrong = _accepted(asker, "Zebra quartz vexes jumbo glyphs. " * 4, plain)
    if right <= wrong:
        raise Ignored(f"{right} tokens of a right prediction accepted, {wrong} of a wrong one")
    return f"{right} tokens of a right prediction accepted, {wrong} of a wrong one"


def _accepted(asker: Asker, guess: str, plain: set[str]) -> int:
    """The accepted tokens of a guess. Raises Ignored, or Failed if it changes the answer.

    `plain` are answers without a guess. Some servers give another word now and then.
    """
    predicted = {"type": "content", "content": guess}
    for _ in range(_TRIALS):
        reply = asker.ask(STORY, max_tokens=32, prediction=predicted, **asker.greedy)
        details = reply.usage.get("completion_tokens_details") or {}
        if not isinstance(details.get("accepted_prediction_tokens"), int):
            raise Ignored("the usage counts no accepted prediction tokens")
        if reply.text in plain:
            return details["accepted_prediction_tokens"]
        plain.add(asker.ask(STORY, max_tokens=32, **asker.greedy).text)
    raise Failed("a prediction changed the answer")


_TRIALS = 5
"""Answers that may differ by chance before a difference counts."""


def cached_tokens(asker: Asker) -> str:
    """A long new prompt counts as not cached at first, and as cached after that."""
    # Caches begin at 1,024 tokens. Every word is at least one token.
    prompt = f"{secrets.token_hex(8)} " + "The keeper walked down to the old harbour. " * 150

    def cached() -> Any:
        usage = asker.ask(prompt, max_tokens=1, **asker.greedy).usage
        return (usage.get("prompt_tokens_details") or {}).get("cached_tokens")

    first, second = cached(), cached()
    if not isinstance(first, int) or not isinstance(second, int):
        raise Failed("the usage counts no cached tokens")
    for _ in range(_TRIALS):
        if second > first:
            break
        time.sleep(0.2)  # a cache can be filled after the answer
        second = cached()
    if second <= first:
        raise Failed(f"the same long prompt had {first}, then {second} cached tokens")
    return f"{first} tokens cached at first, {second} the second time"


def echo(asker: Asker) -> str:
    """The raw completion begins with the prompt on demand, and continues after it."""
    prompt = "The keeper of the lighthouse saw"
    asked = {"model": asker.model, "prompt": prompt, "max_tokens": 8, "temperature": 0}
    with_it, without = (
        asker.offered(asker.client.post("/completions", asked | {"echo": value})).body
        for value in (True, False)
    )
    whole, rest = (body["choices"][0]["text"] for body in (with_it, without))
    if not whole.startswith(prompt):
        raise Ignored("the text does not begin with the prompt")
    if rest.startswith(prompt) or len(whole) <= len(prompt):
        raise Failed("the prompt is in the text without echo too, or nothing follows it")
    return f"the prompt, then {len(whole) - len(prompt)} characters"


def error_bodies(asker: Asker) -> str:
    """Five invalid requests get OpenAI's status, type, param and code.

    Each has a limit, because a server that accepts one writes an answer.
    """
    faults: dict[str, tuple[Reply, tuple[int, str | None, str | None]]] = {
        "an unknown model": (
            asker.client.post(
                "/chat/completions",
                {
                    "model": "no-such-model-here",
                    "messages": [{"role": "user", "content": "x"}],
                    "max_tokens": 1,
                },
            ),
            (404, None, "model_not_found"),
        ),
        "no messages": (
            asker.send(None, max_tokens=1),
            (400, "messages", "missing_required_parameter"),
        ),
        "empty messages": (asker.send([], max_tokens=1), (400, "messages", "empty_array")),
        "an unknown argument": (
            asker.send("x", max_tokens=1, made_up_argument=1),
            (400, None, None),
        ),
        "a body that is not JSON": (
            asker.client.post("/chat/completions", b"{not json"),
            (400, None, None),
        ),
    }
    wrong = [name for name, (reply, wanted) in faults.items() if _seen(reply) != wanted]
    if len(wrong) == len(faults):
        raise Failed("no invalid request got OpenAI's answer")
    if wrong:
        raise Failed(f"unlike OpenAI's answer: {', '.join(wrong)}")
    return f"{len(faults)} invalid requests got the right status, param and code"


def _seen(reply: Reply) -> tuple[int, str | None, str | None] | None:
    error = reply.body.get("error") if isinstance(reply.body, dict) else None
    if not isinstance(error, dict) or error.keys() != {"message", "type", "param", "code"}:
        return None
    if error["type"] != "invalid_request_error" or not error["message"]:
        return None
    return reply.status, error["param"], error["code"]
