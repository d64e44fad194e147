"""Sections J, K and L: browsers, paths, addresses, log lines, headers and metrics."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.attacks.case import ASK, CHAT, Case, Target, ask, faults_of, get

OPTIONS = ("--access-log",)
EVIL = {"Origin": "https://evil.example"}
IDS = ("../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%00", "C:%5Cx", "%5C%5Chost%5Cs",
       "a" * 4_096, "NUL", "con", "file-" + "A" * 24, "%2e%2e", "' OR 1=1 --", "file-%7f",
       "\u202e")  # fmt: skip


def from_page(row: int, name: str, status: int | tuple[int, ...], **headers: str) -> Case:
    """What a page elsewhere sends. It is refused, or its browser hides the answer."""

    async def check(target: Target) -> list[str]:
        faults = []
        for method in ("POST", "GET", "DELETE", "OPTIONS"):
            answer = await target.client.request(
                method, CHAT, headers={"Content-Type": "text/plain"} | headers, content=b"{}"
            )
            if "access-control-allow-origin" in answer.headers:
                faults.append(f"{method}: it is allowed to read")
            if method == "POST":
                faults += faults_of(answer, status)
        return faults

    return Case(row, name, check, quick=True)


def lost(prefix: str, lag: float = 0.05) -> list[Case]:
    """Row 124: ids that are paths find nothing."""
    return [
        get(124, f"{prefix}/{name[:20]}", f"{prefix}/{name}", (400, 404, 431), lag=lag)
        for name in IDS
    ]


async def forged_id(target: Target) -> list[str]:
    """Row 128: an id of the client's own is not echoed unless it is a plain word."""
    faults = []
    for value in ("a b", "\x1b[31m", "x" * 200, "<b>", "a;b=c"):
        answer = await target.client.get("/health", headers={"X-Request-Id": value})
        shown = answer.headers.get("x-request-id", "")
        if not re.fullmatch(r"[\w.-]{1,128}", shown):
            faults.append(f"{value!r} is echoed as {shown!r}")
    return faults


async def secrets(target: Target) -> list[str]:
    """Row 130: the log holds no text of a prompt."""
    word = "SECRET-0123456789-ABC"
    said = {"messages": [{"role": "user", "content": word}]}
    for change in (said, said | {"n": -1}, said | {"temperature": word}, {"model": word, **said}):
        await target.post(ASK | change)
    await target.post(f'{{"{word}": '.encode())
    return [] if target.log is None or word not in read(target.log) else ["it is in the log"]


def read(path: Path) -> str:
    return path.read_text(errors="replace")


async def many_labels(target: Target) -> list[str]:
    """Row 129: unknown models and users add no time series."""

    async def series() -> int:
        return len((await target.client.get("/metrics")).text.splitlines())

    await target.post(ASK | {"model": "unknown"})
    before = await series()
    for at in range(100):
        await target.post(ASK | {"model": f"m{at}"})
        await target.post(ASK | {"user": f"u{at}", "max_tokens": 1})
    after = await series()
    return [] if after <= before + 5 else [f"{before} lines became {after}"]


def escapes(row: int, change: dict[str, Any]) -> Case:
    return ask(row, repr(change)[:40], change, (200, 400, 404), quick=True)


CASES: list[Case] = [
    from_page(120, "another origin", (403, 415), **EVIL),
    from_page(121, "another host", 403, Host="evil.example:8000"),
    from_page(122, "no origin", (403, 415), Origin="null"),
    from_page(122, "cross-site", (403, 415), **{"Sec-Fetch-Site": "cross-site"}),
    from_page(122, "0.0.0.0", 403, Host="0.0.0.0:8000"),
    from_page(122, "WebSocket", (403, 415), Upgrade="websocket", Connection="Upgrade", **EVIL),
    *lost("/v1/files"), *lost("/v1/batches"), *lost("/v1/responses"), *lost(CHAT),
    *lost("/v1/conversations"), *lost("/v1/models"), *lost("/catalog", 0.5),  # it loads once
    *(get(128, path, path, (400, 404), quick=True)
      for path in ("/v1/a%0d%0aFORGED", "/v1/no?x=%0d%0aFORGED%1b[31m", "/%1b[2J")),
    Case(128, "ids of requests", forged_id, quick=True),
    escapes(128, {"user": "\x1b[31m\nFORGED"}),
    escapes(128, {"model": "\x1b[31m\nFORGED"}),
    escapes(128, {"metadata": {"a\nb": "\r\nFORGED"}}),
    escapes(128, {"\x1b[31m\nFORGED": 1}),
    Case(129, "many names", many_labels, memory=False),
    Case(130, "secrets", secrets, quick=True),
]  # fmt: skip
