"""Section G: clients that are slow or leave, faults in one request."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from tests.attacks.case import ASK, CHAT, Case, Target, faults_of
from tests.raw_http import connected, post

OPTIONS = ()
ENDLESS = ASK | {
    "messages": [{"role": "user", "content": "Count."}], "max_tokens": 8_000,
    "logit_bias": {"0": -100, "2": -100},
}  # fmt: skip
FREE_SECONDS = 3.0
"""A busy machine needs more than one step and a quarter of a second."""


async def in_flight(target: Target) -> tuple[float, float]:
    """The requests that have a place, and the answers that are computed or wait."""
    lines = (await target.client.get("/metrics")).text.splitlines()
    values = {line.split()[0].partition("{")[0]: float(line.split()[-1])
              for line in lines if line and line[0] != "#"}  # fmt: skip
    return values["minikin_requests_in_flight"], values["vllm:num_requests_running"]


async def freed(target: Target, busy: int = 1) -> list[str]:
    """What is wrong with the places after a client left. The canary has one."""
    start = time.monotonic()
    while (await in_flight(target))[0] > busy:
        if time.monotonic() - start > FREE_SECONDS:
            return [f"its place is still taken after {FREE_SECONDS} s"]
        await asyncio.sleep(0.02)
    return []


def leaving(after: float, change: dict[str, Any], *, reset: bool = False) -> Any:
    """A client that leaves so many seconds after its request."""

    async def check(target: Target) -> list[str]:
        def attack() -> None:
            with connected(target.server, 15) as connection:
                connection.sendall(post(ENDLESS | change))
                time.sleep(after)
                if reset:
                    connection.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER: a reset

        await asyncio.to_thread(attack)
        return await freed(target)

    return check


async def crowd(target: Target) -> list[str]:
    """Row 96: 200 clients that leave, 20 at a time."""

    def attack(at: int) -> None:
        with connected(target.server, 15) as connection:
            connection.sendall(post(ENDLESS | {"stream": bool(at % 2), "max_tokens": 100}))

    places = asyncio.Semaphore(20)

    async def one(at: int) -> None:
        async with places:
            await asyncio.to_thread(attack, at)

    await asyncio.gather(*map(one, range(200)))
    return await freed(target)


async def leave_the_queue(target: Target) -> list[str]:
    """Row 95: requests that wait for a place leave. Those that have one are answered whole."""
    running = [asyncio.create_task(target.post(ENDLESS | {"max_tokens": 40})) for _ in range(80)]
    await asyncio.sleep(0.3)

    def attack(at: int) -> None:
        with connected(target.server, 15) as connection:
            connection.sendall(post(ENDLESS | {"stream": bool(at % 2)}))
            time.sleep(0.1)

    await asyncio.gather(*(asyncio.to_thread(attack, at) for at in range(30)))
    answers = await asyncio.gather(*running)
    ends = {answer.json()["choices"][0]["finish_reason"] for answer in answers}
    texts = {answer.json()["choices"][0]["message"]["content"] for answer in answers}
    faults = [] if ends == {"length"} else [f"ended by {ends}"]
    faults += [] if len(texts) == 1 else [f"{len(texts)} texts of one greedy request"]
    return faults + await freed(target)


async def ten_times_too_many(target: Target) -> list[str]:
    """Row 97, in little: ten requests for each place. `make overload` measures at length."""
    healths = []
    asked = [asyncio.create_task(target.post(ENDLESS | {"max_tokens": 24})) for _ in range(640)]
    while not all(each.done() for each in asked):
        healths.append((await target.client.get("/health")).status_code)
        await asyncio.sleep(0.05)
    answers = [each.result() for each in asked]
    refused = [answer for answer in answers if answer.status_code != 200]
    faults = [fault for answer in answers for fault in faults_of(answer, (200, 503))]
    faults += [f"Retry-After: {answer.headers.get('retry-after')}" for answer in refused
               if not 1 <= int(answer.headers.get("retry-after", 0)) <= 60]  # fmt: skip
    if set(healths) != {200}:
        faults.append(f"/health: {set(healths)}")
    if not refused or len(refused) == len(answers):
        faults.append(f"{len(refused)} of {len(answers)} refused")
    return faults


async def stopped_reader(target: Target) -> list[str]:
    """Row 93, in little: a client that reads nothing of a stream is no burden while it waits."""

    def attack() -> None:
        with connected(target.server, 15) as connection:
            connection.sendall(
                post(
                    ENDLESS
                    | {"stream": True, "max_tokens": 500, "logprobs": True, "top_logprobs": 20}
                )
            )
            time.sleep(3)

    await asyncio.to_thread(attack)
    return await freed(target)


async def idle_connections(target: Target) -> list[str]:
    """Row 92: connections that send nothing, and a body that does not come."""
    opened = [await asyncio.open_connection("127.0.0.1", target.client.base_url.port)
              for _ in range(300)]  # fmt: skip
    for _, writer in opened[:150]:
        writer.write(b"POST " + CHAT.encode() + b" HTTP/1.1\r\nHost: localhost\r\n")
    answer = await target.post(ASK)
    for _, writer in opened:
        writer.close()
    return faults_of(answer, 200)


async def drip(target: Target) -> list[str]:
    """Row 91: a head that comes a byte at a time ends after ten seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", target.client.base_url.port)
    start = time.monotonic()
    waiting = asyncio.create_task(reader.read())
    for byte in b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"x" * 30:
        writer.write(bytes([byte]))
        await asyncio.wait([waiting], timeout=0.25)
        if waiting.done():
            break
    answer = await asyncio.wait_for(waiting, 20)
    writer.transport.abort()
    taken = time.monotonic() - start
    return [] if answer.startswith(b"HTTP/1.1 408") and taken < 25 else [f"{taken} s: {answer!r}"]


async def batch_of_bombs(target: Target) -> list[str]:
    """Row 102: bad lines go to the error file, and the others are answered."""
    schema = {"type": "integer", "multipleOf": 1_000_003}
    bomb = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    bodies = [ASK, ASK | {"response_format": bomb}, ASK | {"n": -1}, ASK]
    lines = [{"custom_id": str(at), "method": "POST", "url": CHAT, "body": body}
             for at, body in enumerate(bodies)]  # fmt: skip
    file = await upload(target, "\n".join(map(json.dumps, lines)))
    made = await target.post({"input_file_id": file.json()["id"], "endpoint": CHAT,
                              "completion_window": "24h"}, "/v1/batches")  # fmt: skip
    faults = faults_of(made, 200)
    batch = made.json()
    for _ in range(600):
        batch = (await target.client.get(f"/v1/batches/{batch['id']}")).json()
        if batch["status"] in ("completed", "failed"):
            break
        await asyncio.sleep(0.1)
    counts = batch["request_counts"]
    if (counts["completed"], counts["failed"]) != (2, 2):
        faults.append(f"{batch['status']}: {counts}")
    return faults


async def bad_files(target: Target) -> list[str]:
    """Row 102: files that are no batches."""
    line = {"custom_id": "a", "method": "POST", "url": CHAT, "body": ASK}
    faults = []
    for lines in ([line, line], [line, line | {"custom_id": "b", "url": "/v1/responses"}],
                  [{}], ["x"], [line | {"body": ASK | {"model": "gpt-9"}}]):  # fmt: skip
        file = await upload(target, "\n".join(map(json.dumps, lines)))
        if file.status_code != 200:
            faults += faults_of(file, 400)
            continue
        made = await target.post({"input_file_id": file.json()["id"], "endpoint": CHAT,
                                  "completion_window": "24h"}, "/v1/batches")  # fmt: skip
        faults += faults_of(made, (200, 400))
    return faults


async def upload(target: Target, content: str) -> Any:
    return await target.client.post(
        "/v1/files", data={"purpose": "batch"}, files={"file": ("a.jsonl", content)}
    )


CASES: list[Case] = [
    Case(91, "a head in drops", drip),
    Case(92, "300 idle connections", idle_connections),
    Case(93, "a reader that stops", stopped_reader),
    *(Case(94, f"left {name}", leaving(after, change, reset=reset), quick=name == "at once")
      for name, after, change, reset in (
          ("at once", 0.0, {}, False), ("at once, stream", 0.0, {"stream": True}, False),
          ("in the prompt", 0.1, {"messages": [{"role": "user", "content": "a " * 7_000}]}, False),
          ("in the answer", 0.5, {}, False), ("in the stream", 0.5, {"stream": True}, False),
          ("by reset", 0.3, {"stream": True}, True), ("of 8", 0.3, {"n": 8}, False),
          ("before its grammar", 0.0, {"messages": [{"role": "user", "content": "JSON"}],
                                       "response_format": {"type": "json_object"}}, False))),
    Case(95, "30 that leave the queue", leave_the_queue),
    Case(96, "200 that leave", crowd),
    Case(97, "ten times too many", ten_times_too_many),
    Case(102, "a batch with bombs", batch_of_bombs),
    Case(102, "files that are no batches", bad_files),
]  # fmt: skip
