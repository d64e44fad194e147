"""Probing: each check asks a live endpoint for something that only an honest server can give.

A check is a function of an `Asker`. It returns what it saw, or raises: `Ignored` when the server
said yes and did nothing, `Failed` when it refused or did wrong, `Inconclusive` when the answers
tell neither way. No check rests on the model being clever, nor on a parameter that is another
check's business.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from statistics import median
from typing import Any, NamedTuple

from minikin import __version__
from minikin.catalog.facts.evidence import TIME_TO_LIVE, Evidence, Outcome, Result, stamp
from minikin.catalog.probes.client import Client, Reply, Tape, Unreachable

Body = dict[str, Any]


class Failed(Exception):
    """The server refused a valid request, or its answer is wrong."""


class Ignored(Exception):
    """The server took the parameter, and nothing shows that it was used."""


class Inconclusive(Exception):
    """The answers tell neither way."""


class Answer(NamedTuple):
    """One choice of a completion, and the usage beside it."""

    text: str
    calls: list[Body]
    finish: str | None
    choice: Body
    usage: Body


class Asker:
    """Sends chat requests to one model and refuses answers that are no completions."""

    def __init__(self, client: Client, model: str) -> None:
        self.client = client
        self.model = model
        self.greedy: Body = {}
        """Redundant ways to ask for the likeliest answer, so that one may be missing."""

    def send(self, messages: str | list[Body] | None, **fields: Any) -> Reply:
        """The raw reply, whatever its status."""
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        body = {"model": self.model, **fields}
        if messages is not None:
            body["messages"] = messages
        return self.client.post("/chat/completions", body)

    def body(self, messages: str | list[Body], **fields: Any) -> Body:
        """The completion. Raises Failed when the server refuses or answers in another shape."""
        reply = self.send(messages, **fields)
        if reply.status != 200:
            raise Failed(f"refused with {reply.status}: {self.complaint(reply)}")
        if not isinstance(reply.body, dict) or not isinstance(reply.body.get("choices"), list):
            raise Failed("the answer is no chat completion")
        self.note(reply.body)
        return reply.body

    def ask(self, messages: str | list[Body], **fields: Any) -> Answer:
        """The first choice of the completion."""
        body = self.body(messages, **fields)
        return answer(body, body["choices"][0] if body["choices"] else None)

    def note(self, body: Body) -> None:
        """Keep the server's fingerprint of its weights and settings."""
        found = body.get("system_fingerprint")
        if isinstance(found, str) and found:
            self.client.tape.fingerprint = self.client.clean(found)

    def complaint(self, reply: Reply) -> str:
        """The server's error message, cleaned."""
        error = reply.body.get("error") if isinstance(reply.body, dict) else None
        message = error.get("message") if isinstance(error, dict) else error
        return self.client.clean(str(message or reply.text))

    def settle(self) -> None:
        """Find which ways to a repeatable answer the server takes. Raises Failed if none."""
        whole: Body = {"temperature": 0, "top_p": 0.0001, "seed": 7}
        for names in (tuple(whole), ("temperature", "top_p"), ("temperature",), ()):
            self.greedy = {name: whole[name] for name in names}
            reply = self.send("Hello", max_tokens=1, **self.greedy)
            if reply.status == 200:
                return
            if reply.status not in (400, 422):
                break
        raise Failed(f"the server answers {reply.status}: {self.complaint(reply)}")


def answer(body: Body, choice: Any) -> Answer:
    """A choice with its parts in the right types. Raises Failed when they aren't."""
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        raise Failed("a choice has no message")
    text, calls = message.get("content"), message.get("tool_calls") or []
    if not isinstance(text, str | None) or not isinstance(calls, list):
        raise Failed("the message's content is not text")
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
) -> Evidence:
    """Run checks one by one, and `tell` each result as it comes.

    Raises Unreachable or Failed when the endpoint doesn't answer even a plain request.
    """
    asker = Asker(client, model)
    asker.settle()
    results: list[Result] = []
    fingerprint = client.tape.fingerprint
    for capability, check in checks.items():
        client.tape = Tape()
        results.append(_run(asker, capability, check, datetime.now(UTC)))
        fingerprint = client.tape.fingerprint or fingerprint
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
        # A check reads what a stranger sent; a part that is missing or odd is the server's fault.
        outcome, reason = "failed", f"the answer is malformed ({type(error).__name__})"
    tape = asker.client.tape
    return Result(
        capability=capability,
        outcome=outcome,
        reason=asker.client.clean(reason),
        trials=len(tape.seconds),
        requests=f"sha256:{tape.sent.hexdigest()}",
        responses=f"sha256:{tape.received.hexdigest()}",
        latency_ms=round(1000 * median(tape.seconds)) if tape.seconds else 0,
        at=stamp(now),
        expires=stamp(now + TIME_TO_LIVE),
    )
