"""Probing: each check requests something that only a server with the feature can give.

A check is a function of an `Asker`. It returns what it saw, or raises an error: `Ignored` if the
server accepted the parameter without an effect, `Failed` if it rejected the request or answered
wrongly, `Absent` if it says that it does not have the capability, `Inconclusive` if the answers
show neither. No check needs a clever model, or a parameter that another check tests.
"""

from __future__ import annotations

import itertools
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
    digest,
    stamp,
)
from minikin.catalog.probes import stream as streams
from minikin.catalog.probes.client import Client, Reply, Tape, Unreachable

Body = dict[str, Any]
_PATH = "/chat/completions"
_REFUSALS = (400, 404, 405, 415, 422)
"""What servers answer to a field, a part or a route that they do not have."""
_SHORT = 16
"""Tokens of the first answers, which show whether the model thinks."""
_THOUGHTS = 2048
"""Tokens that a model may think before each answer, if it cannot do without."""


class Failed(Exception):
    """The server rejected a valid request, or its answer is wrong."""


class Ignored(Exception):
    """The server accepted the parameter, and nothing shows that it was used."""


class Absent(Exception):
    """The server says that it does not have a capability that no server must have."""


class Inconclusive(Exception):
    """The answers show neither success nor failure."""


class Answer(NamedTuple):
    """One choice of a completion, and its usage."""

    text: str
    calls: list[Body]
    finish: str | None
    choice: Body
    usage: Body

    @property
    def prompt_tokens(self) -> int:
        """The tokens of the prompt, 0 if they are not counted."""
        count = self.usage.get("prompt_tokens")
        return count if isinstance(count, int) else 0


class Asker:
    """Sends chat requests to one model, and rejects answers that are not completions."""

    def __init__(self, client: Client, model: str) -> None:
        self.client = client
        self.model = model
        self.greedy: Body = {}
        """Redundant settings for the most likely answer, because a server can lack one."""
        self.limit = "max_tokens"
        """The name of the limit of an answer. Reasoning models of OpenAI want another one."""
        self.thinking: Body = {}
        """The setting with which a reasoning model thinks least."""
        self.thoughts = 0
        """Tokens that a reasoning model may think before its answer."""

    def send(self, messages: str | list[Body] | None, **fields: Any) -> Reply:
        """The raw reply, with any status."""
        return self.client.post(_PATH, self.request(messages, **fields))

    def send_unrecorded(self, messages: str | list[Body], **fields: Any) -> Reply:
        """The reply to a request that is not in the evidence. Threads can use it."""
        return self.client.post_unrecorded(_PATH, self.request(messages, **fields))

    @contextmanager
    def company(self, count: int, prompt: str, **fields: Any) -> Iterator[None]:
        """Send `count` requests that run beside those of the block. Their answers do not count."""
        request = self.request(prompt, **fields)
        with ThreadPoolExecutor(count) as pool:
            for _ in range(count):
                pool.submit(self.client.post_unrecorded, _PATH, request)
            yield

    def request(self, messages: str | list[Body] | None, **fields: Any) -> Body:
        """The body of a request. Fields in `literal` are sent as they are, or left out if None."""
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        literal = fields.pop("literal", {})
        body = {"model": self.model, **self.thinking, **fields}
        if "max_tokens" in body:
            body[self.limit] = body.pop("max_tokens") + self.thoughts
        body = {name: value for name, value in (body | literal).items() if value is not None}
        return body if messages is None else {**body, "messages": messages}

    def optional(self, messages: str | list[Body], **fields: Any) -> Answer:
        """The answer to a request that a good server can refuse. Raises Absent if it does."""
        return self.answered(self.offered(self.send(messages, **fields)))

    def offered(self, reply: Reply) -> Reply:
        """The same reply. Raises Absent if it rejects the request."""
        if reply.status in _REFUSALS:
            raise Absent(f"rejected with {reply.status}: {self.complaint(reply)}")
        return reply

    def body(self, messages: str | list[Body], **fields: Any) -> Body:
        """The completion. Raises Failed if the request is rejected or the format is wrong."""
        return self._completion(self.send(messages, **fields))

    def accepted(self, reply: Reply) -> Reply:
        """The same reply. Raises Failed if it rejects the request."""
        if reply.status != 200:
            raise Failed(f"rejected with {reply.status}: {self.complaint(reply)}")
        return reply

    def _completion(self, reply: Reply) -> Body:
        body = self.accepted(reply).body
        if not isinstance(body, dict) or not isinstance(body.get("choices"), list):
            raise Failed("the answer is not a chat completion")
        self.note(body)
        return body

    def ask(self, messages: str | list[Body], **fields: Any) -> Answer:
        """The first choice of the completion. Raises Inconclusive if it contains only thoughts."""
        return self.timed(messages, **fields)[0]

    def timed(self, messages: str | list[Body], **fields: Any) -> tuple[Answer, float]:
        """The same, and the seconds that it took."""
        reply = self.send(messages, **fields)
        return self.answered(reply), reply.seconds

    def answered(self, reply: Reply, only_thoughts: bool = False) -> Answer:
        """The first choice of the completion in a reply. Raises Failed.

        Raises Inconclusive if it contains only thoughts, unless these are enough.
        """
        body = self._completion(reply)
        found = answer(body, body["choices"][0] if body["choices"] else None)
        return found if only_thoughts else self._judged(found)

    def stream(self, messages: str | list[Body], **fields: Any) -> Answer | None:
        """The same from a stream. None if the server sends a plain answer instead."""
        found = streams.read(self.accepted(self.send(messages, stream=True, **fields)))
        if found is None:
            return None
        self.note(found.first)
        return self._judged(answer({"usage": found.usage}, found.choice))

    def _judged(self, found: Answer) -> Answer:
        empty = not found.text.strip() and not found.calls
        if self.thoughts and empty and found.finish == "length":
            raise Inconclusive(f"only thoughts, no answer after {self.thoughts} more tokens")
        return found

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
        sets = (tuple(whole), ("temperature", "top_p"), ("temperature",), ())
        refused = ""
        for limit, names in itertools.product(("max_tokens", "max_completion_tokens"), sets):
            self.limit, self.greedy = limit, {name: whole[name] for name in names}
            reply = self.send("Hello", max_tokens=_SHORT, **self.greedy)
            if reply.status == 200:
                self._settle_thoughts(reply)
                return
            refused = f"the server returns status {reply.status}: {self.complaint(reply)}"
            if reply.status not in (400, 422):
                break
        raise Failed(refused)

    def _settle_thoughts(self, reply: Reply) -> None:
        """For a reasoning model, find the least thinking, and allow for the rest."""
        if not thinks(reply.body):
            return
        for effort in ("none", "minimal", "low"):
            self.thinking = {"reasoning_effort": effort}
            reply = self.send("Hello", max_tokens=_SHORT, **self.greedy)
            if reply.status == 200 and not thinks(reply.body):
                return
            if reply.status == 200:
                break
            self.thinking = {}
        self.thoughts = _THOUGHTS


def thinks(body: Any) -> bool:
    """Whether an answer contains thoughts, visible or only counted."""
    try:
        message = body["choices"][0]["message"]
        usage = body.get("usage") or {}
        details = usage.get("completion_tokens_details") or {}
        marked = in_content(message.get("content") or "")
        return bool(thoughts_of(message) or marked or details.get("reasoning_tokens"))
    except (KeyError, IndexError, TypeError, AttributeError):
        return False


def thoughts_of(message: Body) -> str:
    """The thoughts in a message or a delta, under either of their usual names."""
    return message.get("reasoning_content") or message.get("reasoning") or ""


def in_content(text: str) -> bool:
    """Whether an answer begins with the mark of thoughts."""
    return text.lstrip().startswith(("<think", "<|channel|>analysis"))


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
            bodies[capability] = [*client.tape.exchanges]  # later requests are not of this check
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
    except Absent as error:
        outcome, reason = "absent", str(error)
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
        requests=digest(tape.exchanges, "request"),
        responses=digest(tape.exchanges, "response"),
        latency_ms=round(1000 * median(tape.seconds)) if tape.seconds else 0,
        at=stamp(now),
        expires=stamp(now + TIME_TO_LIVE),
    )
