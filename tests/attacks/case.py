"""A hostile request as data: what is sent, and what must come back."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests import raw_http
from tests.real_model import RunningServer

CHAT = "/v1/chat/completions"
HI = [{"role": "user", "content": "Say hi."}]
ASK = {"model": "gpt-4.1-mini", "messages": HI, "max_tokens": 4, "temperature": 0}
JSON = {"Content-Type": "application/json"}
LEAK = re.compile(r"Traceback|/[a-z]+/[a-z]+/[a-z]|0x[0-9a-f]{6}|\.py\b|sk-secret")
ANY = "any"


@dataclass
class Target:
    """The server under attack."""

    server: RunningServer
    client: httpx.AsyncClient
    log: Path | None = None
    """Where it logs to."""

    async def post(self, body: Any, path: str = CHAT, **headers: str) -> httpx.Response:
        """The answer to a body: bytes as they are, all else as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.client.post(path, content=content, headers=JSON | headers)

    def talk(self, *parts: bytes, **options: Any) -> bytes:
        """What comes back for these bytes on a connection of their own."""
        return raw_http.talk(self.server, *parts, **options)


Check = Callable[[Target], Awaitable[list[str]]]
"""Attacks, and returns what is wrong."""


@dataclass(frozen=True)
class Case:
    """One attack of a row."""

    row: int
    name: str
    check: Check
    quick: bool = False
    """Whether the tests run it too."""
    lag: float = 0.05
    """Seconds for which it may hold the event loop."""
    memory: bool = True
    """Whether memory must be as before."""
    canary: bool = True
    """Whether an answer runs beside it."""


def faults_of(
    answer: httpx.Response,
    status: int | tuple[int, ...],
    param: str | None = ANY,
    code: str | None = ANY,
) -> list[str]:
    """What is wrong with an answer."""
    wanted = (status,) if isinstance(status, int) else status
    faults = []
    if answer.status_code not in wanted:
        faults.append(f"status {answer.status_code}, not {status}: {answer.text[:200]}")
    if "x-request-id" not in answer.headers:
        faults.append("no x-request-id")
    if answer.status_code < 400:
        return faults
    faults += faults_of_error(answer.text)
    error = json.loads(answer.text or "{}").get("error") or {}
    for name, value in (("param", param), ("code", code)):
        if value != ANY and error.get(name) != value:
            faults.append(f"{name} {error.get(name)!r}, not {value!r}")
    return faults


def faults_of_error(body: str) -> list[str]:
    """What is wrong with the body of an error."""
    faults = []
    try:
        error = json.loads(body)["error"]
        if set(error) != {"message", "type", "param", "code"}:
            faults.append(f"an error of the keys {sorted(error)}")
    except (ValueError, KeyError, TypeError):
        return [f"no error object: {body[:100]!r}"]
    if leak := LEAK.search(error["message"]):
        faults.append(f"the message contains {leak[0]!r}")
    return faults


def ask(
    row: int,
    name: str,
    change: Any,
    status: int | tuple[int, ...] = 400,
    *,
    param: str | None = ANY,
    code: str | None = ANY,
    path: str = CHAT,
    headers: dict[str, str] | None = None,
    **options: Any,
) -> Case:
    """A case of one JSON body. `change`: what to change in a good one, or bytes, or makes them."""

    async def check(target: Target) -> list[str]:
        changed = change() if callable(change) else change
        body = ASK | changed if isinstance(changed, dict) and path == CHAT else changed
        answer = await target.post(body, path, **(headers or {}))
        return faults_of(answer, status, param, code)

    return Case(row, name, check, **options)


def get(row: int, name: str, path: str, status: int | tuple[int, ...], **options: Any) -> Case:
    """A case of one path."""

    async def check(target: Target) -> list[str]:
        answer = await target.client.request(options.pop("method", "GET"), path)
        return faults_of(answer, status)

    return Case(row, name, check, **options)


def sent(
    row: int, name: str, parts: Any, status: int | tuple[int, ...], seconds: float = 15,
    *, open_after: bool = False, **options: Any,
) -> Case:  # fmt: skip
    """A case of raw bytes. The server answers the status, and closes unless `open_after`.

    Status 0: it closes without an answer.
    """
    wanted = (status,) if isinstance(status, int) else status

    async def check(target: Target) -> list[str]:
        given = parts() if callable(parts) else parts
        given = (given,) if isinstance(given, bytes) else given
        return faults_of_bytes(await in_thread(target, given, seconds), wanted, open_after)

    return Case(row, name, check, **options)


async def in_thread(target: Target, parts: tuple[bytes, ...], seconds: float) -> bytes:
    """See `Target.talk`, beside the canary."""
    import asyncio

    try:
        return await asyncio.to_thread(target.talk, *parts, seconds=seconds)
    except (ConnectionError, BrokenPipeError):
        return b""


def faults_of_bytes(answer: bytes, wanted: tuple[int, ...], open_after: bool) -> list[str]:
    """What is wrong with an answer in bytes."""
    closed = not answer.endswith(raw_http.OPEN)
    answer = answer.removesuffix(raw_http.OPEN)
    status = int(answer[9:12]) if answer.startswith(b"HTTP/1.") else 0
    faults = []
    if status not in wanted:
        faults.append(f"status {status}, not {wanted}: {answer[:200]!r}")
    if not closed and not open_after:
        faults.append("the connection stays open")
    if status >= 400:
        faults += faults_of_error(answer.partition(b"\r\n\r\n")[2].decode(errors="replace"))
    return faults
