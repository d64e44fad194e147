"""Probing: each check requests something that only a server with the feature can give.

A check is a function of an `Asker`. It returns what it saw, or raises an error: `Ignored` if the
server accepted the parameter without an effect, `Failed` if it rejected the request or answered
wrongly, `Inconclusive` if the answers show neither. No check needs a clever model, or a parameter
that another check tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from statistics import median
from typing import Any, NamedTuple

from minikin import __version__
from minikin.catalog.facts.evidence import (
    TIME_TO_LIVE,
    Bodies,
    Evidence,
    Outcome,
    Result,
    stamp,
)
from minikin.catalog.probes.client import Client, Reply, Tape, Unreachable

Body = dict[str, Any]
_PATH = "/chat/completions"


class Failed(Exception):
    """The server rejected a valid request, or its answer is wrong."""


class Ignored(Exception):
    """The server accepted the parameter, and nothing shows that it was used."""


class Inconclusive(Exception):
    """The answers show neither success nor failure."""


class Answer(NamedTuple):
    """One choice of a completion, and its usage."""

    text: str
    calls: list[Body]
    finish: str | None
    choice: Body
    usage: Body


class Asker:
    """Sends chat requests to one model, and rejects answers that are not completions."""

    def __init__(self, client: Client, model: str) -> None:
        self.client = client
        self.model = model
        self.greedy: Body = {}
        """Redundant settings for the most likely answer, because a server can lack one."""

    def send(self, messages: str | list[Body] | None, **fields: Any) -> Reply:
        """The raw reply, with any status."""
        return self.client.post(_PATH, self._request(messages, fields))

    @contextmanager
    def company(self, count: int, prompt: str, **fields: Any) -> Iterator[None]:
        """Send `count` requests that run beside those of the block. Their answers do not count."""
        request = self._request(prompt, fields)
        with ThreadPoolExecutor(count) as pool:
            for _ in range(count):
                pool.submit(self.client.post_unrecorded, _PATH, request)
            yield

    def _request(self, messages: str | list[Body] | None, fields: Body) -> Body:
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        body = {"model": self.model, **fields}
        return body if messages is None else {**body, "messages": messages}

    def body(self, messages: str | list[Body], **fields: Any) -> Body:
        """The completion. Raises Failed if the request is rejected or the format is wrong."""
        reply = self.send(messages, **fields)
        if reply.status != 200:
            raise Failed(f"rejected with {reply.status}: {self.complaint(reply)}")
        if not isinstance(reply.body, dict) or not isinstance(reply.body.get("choices"), list):
            raise Failed("the answer is not a chat completion")
        self.note(reply.body)
        return reply.body

    def ask(self, messages: str | list[Body], **fields: Any) -> Answer:
        """The first choice of the completion."""
        body = self.body(messages, **fields)
        return answer(body, body["choices"][0] if body["choices"] else None)

    def note(self, body: Body) -> None:
        """Store the server's fingerprint of its weights and settings."""
        found = body.get("system_fingerprint")
        if isinstance(found, str) and found:
            self.client.tape.fingerprint = self.client.clean(found)

    def complaint(self, reply: Reply) -> str:
        """The server's error message, cleaned."""
        error = reply.body.get("error") if isinstance(reply.body, dict) else None
        message = error.get("message") if isinstance(error, dict) else error
        return self.client.clean(str(message or reply.text))

    def settle(self) -> None:
        """Find the settings for a repeatable answer that the server accepts. Raises Failed."""
        whole: Body = {"temperature": 0, "top_p": 0.0001, "seed": 7}
        for names in (tuple(whole), ("temperature", "top_p"), ("temperature",), ()):
            self.greedy = {name: whole[name] for name in names}
            reply = self.send("Hello", max_tokens=1, **self.greedy)
            if reply.status == 200:
                return
            if reply.status not in (400, 422):
                break
        raise Failed(f"the server returns status {reply.status}: {self.complaint(reply)}")


def answer(body: Body, choice: Any) -> Answer:
    """A choice with parts of the right types. Raises Failed for other types."""
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        raise Failed("a choice has no message")
    text, calls = message.get("content"), message.get("tool_calls") or []
    if not isinstance(text, str | None) or not isinstance(calls, list):
        raise Failed("the content of the message is not text")
    usage = body.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return Answer(text or "", calls, choice.get("finish_reason"), choice, usage)


Check = Callable[[Asker], str]


def probe(
    client: Client,
    model: str,
    offering: str,
    checks: dict[str, Check],
    tell: Callable[[Result], object] = lambda result: None,
    bodies: Bodies | None = None,
) -> Evidence:
    """Run checks one by one, pass each result to `tell`, and add all bodies to `bodies`.

    Raises Unreachable or Failed if the endpoint does not answer even a plain request.
    """
    asker = Asker(client, model)
    asker.settle()
    results: list[Result] = []
    fingerprint = client.tape.fingerprint
    for capability, check in checks.items():
        client.tape = Tape()
        results.append(_run(asker, capability, check, datetime.now(UTC)))
        fingerprint = client.tape.fingerprint or fingerprint
        if bodies is not None:
            bodies[capability] = client.tape.exchanges
        tell(results[-1])
    prober = f"minikin {__version__}"
    return Evidence(offering, client.base_url, model, fingerprint, prober, results)


def _run(asker: Asker, capability: str, check: Check, now: datetime) -> Result:
    outcome: Outcome = "verified"
    try:
        reason = check(asker)
    except Failed as error:
        outcome, reason = "failed", str(error)
    except Ignored as error:
        outcome, reason = "ignored", str(error)
    except (Inconclusive, Unreachable) as error:
        outcome, reason = "inconclusive", str(error)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        # A check reads an answer from a stranger. A missing or unexpected part is a failure.
        outcome, reason = "failed", f"the answer is malformed ({type(error).__name__})"
    tape = asker.client.tape
    return Result(
        capability=capability,
        outcome=outcome,
        reason=asker.client.clean(reason),
        trials=len(tape.seconds),
        requests=tape.digest("request"),
        responses=tape.digest("response"),
        latency_ms=round(1000 * median(tape.seconds)) if tape.seconds else 0,
        at=stamp(now),
        expires=stamp(now + TIME_TO_LIVE),
    )
