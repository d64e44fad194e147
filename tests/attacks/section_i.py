"""Section I: keys, and what belongs to whom."""

from __future__ import annotations

import json

from tests.attacks.case import ASK, CHAT, Case, Target, faults_of, faults_of_bytes, in_thread, sent

OPTIONS = ("--api-key", "sk-secret-of-the-owner", "--api-key", "sk-another")
BODY = json.dumps(ASK)


def with_lines(*lines: str) -> bytes:
    head = [f"POST {CHAT} HTTP/1.1", "Host: localhost", "Content-Type: application/json",
            f"Content-Length: {len(BODY)}", "Connection: close", *lines]  # fmt: skip
    return "\r\n".join([*head, "", BODY]).encode("latin-1")


def refused(row: int, name: str, *lines: str, statuses: tuple[int, ...] = (401,)) -> Case:
    """A request with these headers for its key is refused, and the key is not shown."""

    async def check(target: Target) -> list[str]:
        answer = await in_thread(target, (with_lines(*lines),), 15)
        faults = faults_of_bytes(answer, statuses, open_after=False)
        if answer[9:12] == b"401" and b"www-authenticate" not in answer.lower():
            faults.append("no WWW-Authenticate")
        if b"sk-wrong-0123456789" in answer:
            faults.append("the key is in the answer")
        return faults

    return Case(row, name, check, quick=True)


async def all_paths(target: Target) -> list[str]:
    """Row 116: without a key only the documented probes answer. Too many tries get a 429."""
    faults = []
    document = (await target.client.get("/openapi.json")).json()
    paths = [path.replace("{", "").replace("}", "") for path in document["paths"]]
    paths += ["/metrics", "/debug", "/tokenize", "/invocations", "/pause", "/v1/models/",
              "//v1/models", "/V1/MODELS", "/v1//models", "/v1/%6dodels"]  # fmt: skip
    for path in paths:
        for method in ("GET", "POST", "DELETE", "OPTIONS", "TRACE", "HEAD"):
            answer = await target.client.request(method, path, headers={"Authorization": ""})
            allowed = path in ("/health", "/ready") or answer.status_code in (
                401,
                403,
                404,
                405,
                429,
            )
            if not allowed:
                faults.append(f"{method} {path}: {answer.status_code}")
    return faults


async def others_things(target: Target) -> list[str]:
    """Row 117: one key does not find what another one stored."""
    other = {"Authorization": "Bearer sk-another"}
    stored = (await target.post(ASK | {"store": True})).json()["id"]
    paths = [f"{CHAT}/{stored}", f"{CHAT}/{stored}/messages"]
    made = await target.client.post(
        "/v1/files", data={"purpose": "batch"}, files={"file": ("a.jsonl", "{}")}
    )
    if made.status_code == 200:
        paths += [f"/v1/files/{made.json()['id']}", f"/v1/files/{made.json()['id']}/content"]
    answer = await target.post({"model": "gpt-4.1-mini", "input": "Hi"}, "/v1/responses")
    paths.append(f"/v1/responses/{answer.json()['id']}")
    faults = []
    for path in paths:
        faults += faults_of(await target.client.get(path, headers=other), 404)
        faults += faults_of(await target.client.get(path), 200)
    return faults


CASES: list[Case] = [
    refused(113, "none"),
    *(refused(113, repr(value[:20]), f"Authorization: {value}", statuses=(400, 401, 431))
      for value in ("Bearer ", "Bearer", "Basic c2s6", "sk-secret-of-the-owner", "Bearer \xff",
                    "Bearer sk-wrong-0123456789", "Bearer sk-secret-of-the-owner x",
                    "Bearer sk-secret-of-the-owner\0", "Bearer " + "x" * 1_000_000)),
    *(refused(114, value, f"Authorization: Bearer {value}")
      for value in ("' OR '1'='1", "'; DROP TABLE keys; --", "\" UNION SELECT 1")),
    refused(113, "two", "Authorization: Bearer sk-another", "Authorization: Bearer sk-wrong"),
    sent(113, "in the query", with_lines().replace(b"completions ", b"completions?key=sk-another "),
         401),
    *(sent(115, host, with_lines("Authorization: Bearer sk-another").replace(
        b"Host: localhost", f"Host: {host}".encode()), (400, 403), quick=True)
      for host in ("x/?a=", "good#", "localhost#", "localhost/", "localhost@evil.example", "a b")),
    Case(116, "every path without a key", all_paths),
    Case(117, "what others stored", others_things, memory=False),
]  # fmt: skip
