"""Beyond the rows: other routes, and other fields that take large values."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.attacks.case import ASK, CHAT, Case, Target, ask, faults_of, get
from tests.attacks.section_g import upload

OPTIONS = ("--extensions",)
RESPONSES, TALKS, BATCHES = "/v1/responses", "/v1/conversations", "/v1/batches"
OLD = "/v1/completions"
IN = {"model": "gpt-4.1-mini", "input": "Hi", "max_output_tokens": 16}
PROMPT = {"model": "gpt-4.1-mini", "prompt": "Hi", "max_tokens": 4}
DEEP: Any = "x"
for _ in range(200):
    DEEP = [DEEP]
WRONG = (400, 404)


def item(content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": content, **more}


def response(name: str, change: dict[str, Any], status: Any = 400, **options: Any) -> Case:
    return ask(0, f"responses: {name}", IN | change, status, path=RESPONSES, **options)


def prompted(name: str, change: dict[str, Any], status: Any = 400) -> Case:
    return ask(0, f"completions: {name}", PROMPT | change, status, path=OLD)


def talk(name: str, body: Any, status: Any = 400) -> Case:
    return ask(0, f"conversations: {name}", body, status, path=TALKS)


def batch(name: str, body: Any, status: Any = WRONG) -> Case:
    good = {"input_file_id": "file-x", "endpoint": CHAT, "completion_window": "24h"}
    return ask(0, f"batches: {name}", good | body, status, path=BATCHES)


def file_of(name: str, content: bytes, status: Any = 400, **fields: str) -> Case:
    async def check(target: Target) -> list[str]:
        form = {"purpose": "batch"} | fields
        answer = await target.client.post(
            "/v1/files", data=form, files={"file": (name[:200], content)}
        )
        if answer.status_code == 200:
            await target.client.delete(f"/v1/files/{answer.json()['id']}")
        return faults_of(answer, status)

    return Case(0, f"files: {name[:30]!r} {fields}", check)


async def long_talk(target: Target) -> list[str]:
    """A conversation that only grows: every addition is bounded, and so is each list."""
    made = await target.post({}, TALKS)
    path = f"{TALKS}/{made.json()['id']}"
    faults = faults_of(made, 200)
    for _ in range(20):
        more = await target.post({"items": [item("a" * 1_000)] * 20}, f"{path}/items")
        faults += faults_of(more, 200)
    faults += faults_of(await target.post({"items": [item("a")] * 21}, f"{path}/items"), 400)
    faults += faults_of(await target.client.get(f"{path}/items?limit=100"), 200)
    body = IN | {"conversation": made.json()["id"]}
    faults += faults_of(await target.post(body, RESPONSES), (200, 400))
    return faults + faults_of(await target.client.delete(path), 200)


async def deep_chain(target: Target) -> list[str]:
    """Responses, each of which continues the last one, and two at once."""
    previous: dict[str, Any] = {}
    faults, made = [], []
    for _ in range(12):
        answer = await target.post(IN | previous, RESPONSES)
        faults += faults_of(answer, 200)
        made.append(answer.json()["id"])
        previous = {"previous_response_id": made[-1]}
    both = await asyncio.gather(*(target.post(IN | previous, RESPONSES) for _ in range(8)))
    faults += [fault for each in both for fault in faults_of(each, 200)]
    for identifier in [*made, *(each.json()["id"] for each in both)]:
        await target.client.delete(f"{RESPONSES}/{identifier}")
    return faults


async def cancelled(target: Target) -> list[str]:
    """Background responses that are cancelled at once, twice, and deleted while they run."""
    faults = []
    for _ in range(8):
        made = await target.post(IN | {"background": True}, RESPONSES)
        faults += faults_of(made, 200)
        path = f"{RESPONSES}/{made.json()['id']}"
        ends = await asyncio.gather(
            *(target.client.post(f"{path}/cancel") for _ in range(3)), target.client.delete(path)
        )
        faults += [fault for each in ends for fault in faults_of(each, (200, 400, 404, 409))]
    return faults


async def empty_batches(target: Target) -> list[str]:
    """Lines that are JSON, and no requests."""
    faults = []
    deep = json.dumps(DEEP).encode()
    for line in (
        b"\0",
        b"{}\n" * 1_000,
        deep,
        b"null\n[]\n1\n",
        b"\xff\xfe\n",
    ):
        file = await target.client.post(
            "/v1/files", data={"purpose": "batch"}, files={"file": ("a.jsonl", line)}
        )
        if file.status_code != 200:
            faults += faults_of(file, 400)
            continue
        body = {"input_file_id": file.json()["id"], "endpoint": CHAT, "completion_window": "24h"}
        made = await target.post(body, BATCHES)
        faults += faults_of(made, (200, 400))
        for _ in range(200):
            if made.status_code != 200 or made.json()["status"] in ("failed", "completed"):
                break
            await asyncio.sleep(0.05)
            made = await target.client.get(f"{BATCHES}/{made.json()['id']}")
        if made.status_code == 200 and made.json()["status"] not in ("failed", "completed"):
            faults.append(f"{line[:20]!r}: {made.json()['status']}")
    return faults


async def deleted_file(target: Target) -> list[str]:
    """The file of a batch that is deleted while it runs."""
    line = {"custom_id": "a", "method": "POST", "url": CHAT, "body": ASK}
    lines = (json.dumps(line | {"custom_id": str(at)}) for at in range(20))
    file = (await upload(target, "\n".join(lines))).json()["id"]
    made = await target.post({"input_file_id": file, "endpoint": CHAT,
                              "completion_window": "24h"}, BATCHES)  # fmt: skip
    faults = faults_of(made, 200)
    faults += faults_of(await target.client.delete(f"/v1/files/{file}"), (200, 400, 409))
    path = f"{BATCHES}/{made.json()['id']}"
    faults += faults_of(await target.client.post(f"{path}/cancel"), (200, 400, 409))
    return faults + faults_of(await target.client.get(path), 200)


TEXT = {"format": {"type": "json_schema", "name": "x", "schema": {"type": "integer",
        "multipleOf": 1_000_003}}}  # fmt: skip
CASES: list[Case] = [
    *(response(name, change) for name, change in (
        ("items nested deeply", {"input": [item(DEEP)]}),
        ("50,000 parts", {"input": [item([{"type": "input_text", "text": ""}] * 50_000)]}),
        ("an unknown item", {"input": [{"type": "x" * 100_000}]}),
        ("an item of a number", {"input": [1]}),
        ("1 MB id", {"input": [item("a", id="m" * 1_000_000)]}),
        ("references to nothing", {"input": [{"type": "item_reference", "id": 5}]}),
        ("129 tools", {"tools": [{"type": "function", "name": f"f{at}", "parameters": {}}
                                 for at in range(129)]}),
        ("a schema bomb", {"text": TEXT}),
        ("metadata of 1 MB", {"metadata": {"a": "b" * 1_000_000}}),
        ("include of 10,000", {"include": ["x"] * 10_000}),
        ("an image by file", {"input": [item([{"type": "input_image", "file_id": "../../x"}])]}),
        ("a file by address", {"input": [item([{"type": "input_file",
                                                "file_url": "http://169.254.169.254/"}])]}),
        ("a conversation and a response", {"conversation": "conv_x",
                                           "previous_response_id": "resp_x"}),
        ("a grammar of 1 MB", {"tools": [{"type": "custom", "name": "x", "format": {
            "type": "grammar", "syntax": "regex", "definition": "a" * 1_000_000}}]}),
        ("a look-around", {"tools": [{"type": "custom", "name": "x", "format": {
            "type": "grammar", "syntax": "regex", "definition": "(?<=a)b((("}}]}),
    )),
    response("10,000 references", {"input": [{"type": "item_reference", "id": f"msg_{at}"}
                                             for at in range(10_000)]}, WRONG),
    response("a response that is not there", {"previous_response_id": "r" * 5_000},
             WRONG),
    response("instructions of 3 MB", {"instructions": "x" * 3_000_000}),
    response("an id that is SQL", {"previous_response_id": "' OR 1=1 --"}, WRONG),
    response("a key of 1 MB", {"prompt_cache_key": "x" * 1_000_000}, (200, 400)),
    response("a user of control codes", {"user": "\x1b[2J\n"}, (200, 400)),
    *(prompted(name, change) for name, change in (
        ("10,000 prompts", {"prompt": ["a"] * 10_000}),
        ("ids that are no ids", {"prompt": [2**31, -1, 1.5]}),
        ("lists in lists", {"prompt": [[["a"]]]}),
        ("a suffix of 3 MB", {"suffix": "x" * 3_000_000}),
        ("logprobs 6", {"logprobs": 6}),
        ("best_of below n", {"best_of": 1, "n": 2}),
        ("a prompt of 3 MB", {"prompt": "a " * 1_500_000}),
        ("1 MB of stops", {"stop": ["x" * 250_000] * 4}),
        ("128 prompts 128 times", {"prompt": ["a"] * 128, "n": 128}),
    )),
    *(talk(name, body) for name, body in (
        ("21 items", {"items": [item("a")] * 21}),
        ("17 keys", {"metadata": {str(at): "a" for at in range(17)}}),
        ("items of a string", {"items": "abc"}),
        ("an item without a role", {"items": [{"type": "message", "content": "a"}]}),
        ("deep content", {"items": [item(DEEP)]}),
    )),
    Case(0, "conversations: growing", long_talk, memory=False),
    Case(0, "responses: a chain, and 8 that continue one", deep_chain, memory=False),
    Case(0, "responses: cancelled and deleted at once", cancelled, memory=False),
    *(batch(name, body) for name, body in (
        ("a path as file", {"input_file_id": "../../etc/passwd"}),
        ("a file id of 1 MB", {"input_file_id": "f" * 1_000_000}),
        ("another window", {"completion_window": "1s"}),
        ("another endpoint", {"endpoint": "/dashboard.json"}),
        ("metadata of numbers", {"metadata": {"a": 1}}),
    )),
    Case(0, "batches: lines that are no requests", empty_batches, memory=False),
    Case(0, "batches: their file is deleted", deleted_file, memory=False),
    file_of("../../x.jsonl", b"{}", (200, 400)),
    file_of("a\r\nX-Forged: 1.jsonl", b"{}", (200, 400)),
    file_of("x" * 10_000, b"{}", (200, 400)),
    file_of("empty.jsonl", b"", (200, 400)),
    file_of("a.jsonl", b"{}", purpose="../x"),
    file_of("b.jsonl", b"{}", purpose="x" * 100_000),
    *(get(0, path, path, status) for path, status in (
        (f"{CHAT}?limit=0", 400), (f"{CHAT}?limit=99999999999999999999", 400),
        (f"{CHAT}?after={'a' * 5_000}", (200, 400)), (f"{CHAT}?metadata[a]={'b' * 5_000}", 400),
        ("/v1/files?order=sideways", 400), ("/v1/files?limit=-1", 400),
        ("/v1/batches?limit=1e9", 400),
        (f"{RESPONSES}/resp_x?stream=true&starting_after=-1", WRONG),
        (f"{RESPONSES}/resp_x/input_items?limit=101", WRONG),
        ("/catalog/offerings?limit=-1", 400), ("/catalog/offerings?limit=100000000000", 400),
        ("/catalog/offerings?" + "capability=x&" * 2_000, (400, 414, 431)),
        (f"/catalog/models/{'%2e%2e%2f' * 50}", WRONG), ("/catalog/models?q=%00%ff", (200, 400)),
        ("/playground/..%2f..%2fapp", WRONG), ("/playground/%00", WRONG),
        ("/dashboard.json?x=" + "y" * 20_000, (200, 400, 414, 431)),
        ("/metrics?name[]=" + "x" * 20_000, (200, 400, 414, 431)), ("/docs/../metrics%00", WRONG),
    )),
    ask(0, "tokenize: 4 MB of one word", lambda: {"text": "x" * 3_900_000}, (200, 400),
        path="/tokenize"),
    ask(0, "detokenize: ids outside", {"ids": [2**40, -5]}, path="/detokenize"),
    ask(0, "detokenize: no ids", {"ids": "abc"}, path="/detokenize"),
    ask(0, "dashboard: cancel what is not there", {}, (403, 404, 415),
        path="/dashboard/requests/chatcmpl-x/cancel"),
    ask(0, "dashboard: load a path", {}, (400, 403, 404), path="/dashboard/models/..%2fx/load"),
]  # fmt: skip
