"""Section A: malformed HTTP and JSON."""

from __future__ import annotations

import gzip
import json

from tests.attacks.case import ASK, CHAT, Case, Target, ask, faults_of, get, in_thread, sent
from tests.raw_http import post

OPTIONS = ()
GOOD = json.dumps(ASK)
COMMON = "Host: localhost\r\nContent-Type: application/json\r\n"


def body(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def field(name: str, value: str) -> bytes:
    """A good body with one more field, spelt by hand."""
    return (GOOD[:-1] + f', "{name}": {value}}}').encode()


def text_of(value: str) -> bytes:
    """A good body whose text is spelt by hand."""
    return GOOD.replace('"Say hi."', value).encode()


def head(lines: str, path: str = CHAT, method: str = "POST", version: str = "1.1") -> bytes:
    return f"{method} {path} HTTP/{version}\r\n{lines}\r\n".encode()


async def bomb(target: Target) -> list[str]:
    """Row 13: 1 MB that would be 1 GB."""
    packed = gzip.compress(bytes(100_000_000), 1)
    faults = []
    for encoding in ("gzip", "deflate", "br", "zstd"):
        answer = await target.post(packed, **{"Content-Encoding": encoding})
        faults += faults_of(answer, (413, 415))
    return faults


async def endless(target: Target) -> list[str]:
    """Row 15: a chunked body without end."""
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    start = head(COMMON + "Transfer-Encoding: chunked\r\n")
    answer = await in_thread(target, (start, *[chunk] * 200), 15)
    return [] if b"413" in answer[:20] and b"[still open]" not in answer else [repr(answer[:200])]


async def parts(target: Target, content: bytes, boundary: str) -> list[str]:
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    answer = await target.client.post("/v1/files", content=content, headers=headers)
    return faults_of(answer, (400, 413))


async def many_parts(target: Target) -> list[str]:
    one = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n'
    return await parts(target, one * 100_000 + b"--b--\r\n", "b")


async def long_part_header(target: Target) -> list[str]:
    return await parts(target, b"--b\r\nContent-Disposition: " + b"x" * 4_000_000, "b")


async def long_boundary(target: Target) -> list[str]:
    return await parts(target, b"--" + b"b" * 30_000 + b"\r\n", "b" * 30_000)


async def many_ranges(target: Target) -> list[str]:
    """Row 20: a file's content, asked for in 10,000 ranges."""
    line = {"custom_id": "a", "method": "POST", "url": CHAT, "body": ASK}
    made = await target.client.post(
        "/v1/files", data={"purpose": "batch"}, files={"file": ("a.jsonl", json.dumps(line))}
    )
    identifier = made.json()["id"]
    ranges = {"Range": "bytes=" + ",".join(["0-1"] * 10_000)}
    answer = await target.client.get(f"/v1/files/{identifier}/content", headers=ranges)
    await target.client.delete(f"/v1/files/{identifier}")
    return faults_of(answer, (200, 416))


async def methods(target: Target) -> list[str]:
    faults = []
    for method, path in (("GET", "/v1/embeddings"), ("POST", "/health"), ("PUT", CHAT)):
        answer = await target.client.request(method, path)
        faults += faults_of(answer, 404 if "embeddings" in path else 405)
        if answer.status_code == 405 and "allow" not in answer.headers:
            faults.append(f"{method} {path}: no Allow")
    return faults


def twice(*heads: str) -> bytes:
    """A body with two lengths, or none that is sure."""
    return head(COMMON + "".join(f"{each}\r\n" for each in heads)) + b"5\r\n{    \r\n0\r\n\r\n"


LINES = "".join(f"X-{at}: a\r\n" for at in range(10_000))
DEEP = "[" * 100_000 + "]" * 100_000
CASES: list[Case] = [
    ask(1, "empty", b"", quick=True),
    ask(1, "spaces", b" \n\t "),
    ask(2, "cut short", b'{"model":', quick=True),
    *(ask(3, value, value.encode(), quick=True) for value in ("[]", "null", '"x"', "7", "true")),
    ask(4, "100,000 arrays", lambda: field("unknown", DEEP), code="json_too_deep", quick=True),
    ask(4, "100,000 objects", lambda: field("metadata", '{"a":' * 100_000 + "1" + "}" * 100_000),
        code="json_too_deep"),
    *(ask(5, value, field("temperature", value), param="temperature", quick=True)
      for value in ("NaN", "Infinity", "-Infinity", "1e999")),
    *(ask(5, f"{name} 1e999", field(name, "1e999"), param=name)
      for name in ("top_p", "presence_penalty", "seed", "max_tokens", "n", "top_logprobs")),
    ask(6, "5,000 digits", field("seed", "9" * 5_000), param="seed", quick=True),
    ask(6, "400,000 digits", lambda: field("seed", "9" * 400_000)),
    ask(7, "two models", GOOD.replace("{", '{"model": "gpt-9", ', 1).encode(), 200, quick=True),
    ask(7, "the last is bad", field("model", '"gpt-9"'), 404),
    ask(8, "0xFF", GOOD.encode().replace(b"hi", b"\xff"), quick=True),
    ask(8, "cut character", GOOD.encode().replace(b"hi", b"\xe6\x97")),
    ask(8, "overlong", GOOD.encode().replace(b"hi", b"\xc0\xaf")),
    ask(9, "lone surrogate", text_of(r'"\ud800"'), (200, 400), quick=True),
    ask(9, "in a key", field("metadata", r'{"\ud800": "a"}'), (200, 400)),
    ask(9, "in stop", field("stop", r'"\udfff"'), (200, 400)),
    ask(9, "in user", field("user", r'"\udfff"'), (200, 400)),
    ask(9, "in model", GOOD.replace("gpt-4.1-mini", r"\ud800").encode(), (400, 404)),
    ask(10, "UTF-16", GOOD.encode("utf-16"), quick=True),
    ask(10, "BOM", b"\xef\xbb\xbf" + GOOD.encode()),
    ask(11, "garbage after", GOOD.encode() + b" x", quick=True),
    ask(11, "two bodies", GOOD.encode() * 2),
    *(ask(12, kind, GOOD.encode(), 415, headers={"Content-Type": kind},
          code="unsupported_media_type", quick=True)
      for kind in ("text/plain", "", "application/x-www-form-urlencoded", "multipart/form-data")),
    Case(13, "gzip bomb", bomb, quick=True),
    sent(14, "10 GB announced", head(COMMON + "Content-Length: 10737418240\r\n"), 413, quick=True),
    sent(14, "30 digits announced", head(COMMON + f"Content-Length: {'9' * 30}\r\n"), (400, 413)),
    Case(15, "chunks without end", endless),
    sent(16, "length and chunked", twice("Content-Length: 5", "Transfer-Encoding: chunked"), 400,
         quick=True),
    sent(16, "two lengths", twice("Content-Length: 5", "Content-Length: 6"), 400),
    sent(16, "+5", twice("Content-Length: +5"), 400, quick=True),
    sent(16, "-1", twice("Content-Length: -1"), 400),
    sent(16, "0x5", twice("Content-Length: 0x5"), 400),
    sent(16, "bare LF", head(COMMON + "Transfer-Encoding: chunked\r\n") + b"5\n{    \n0\n\n",
         400, quick=True),
    *(sent(16, coding, twice(f"Transfer-Encoding: {coding}"), (400, 501), quick=True)
      for coding in ("gzip, chunked", "chunked, gzip", "gzip", "chunked, chunked", "identity",
                     "xchunked", "chunked;a=b")),
    sent(16, "two headers", twice("Transfer-Encoding: gzip", "Transfer-Encoding: chunked"),
         (400, 501)),
    sent(16, "space before the colon", twice("Transfer-Encoding : chunked"), 400),
    sent(16, "bad chunk size", head(COMMON + "Transfer-Encoding: chunked\r\n") + b"zz\r\n", 400),
    sent(17, "10,000 headers", lambda: post(ASK, LINES[:-2]), (400, 431), quick=True),
    sent(17, "2,000 short headers", lambda: post(ASK, "A: b\r\n" * 1_999 + "A: b"), (400, 431)),
    sent(17, "one header of 100 MB",
         lambda: (head("X: ")[:-2], *[b"x" * 1_000_000] * 100), (400, 431, 0)),
    sent(18, "path of 1 MB", lambda: head("Host: localhost\r\n", "/" + "x" * 1_000_000, "GET"),
         (414, 431)),
    *(get(18, path, path, (400, 404), quick=True)
      for path in ("/v1/models%00", "/%2e%2e%2f%2e%2e%2fetc/passwd", "//v1//models",
                   "/v1/models/..%2fadmin", "/v1/models/%2e%2e/admin")),
    sent(18, "dots", head("Host: localhost\r\nConnection: close\r\n", "/v1/models/../admin", "GET"),
         404),
    Case(19, "100,000 parts", many_parts),
    Case(19, "endless part header", long_part_header),
    Case(19, "absurd boundary", long_boundary),
    Case(20, "10,000 ranges", many_ranges),
    Case(21, "methods", methods, quick=True),
    get(21, "unknown", "/v2/nothing", 404, quick=True),
    sent(22, "HTTP/1.0 without Host", b"GET /v1/models HTTP/1.0\r\n\r\n", 400, quick=True),
    sent(22, "HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 0), quick=True),
    sent(22, "TLS", bytes.fromhex("16030100f8010000f40303") + bytes(200), 400, quick=True),
    sent(22, "noise", bytes(range(256)) * 8, 400),
]  # fmt: skip
