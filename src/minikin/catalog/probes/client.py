"""The HTTP client of the probes. It limits time and size, and protects the API key.

The key is sent only to the given host: redirects are not followed. It is in no message or file.
Answers are treated as untrusted: limited in size, not decompressed, cleaned before output.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from minikin.catalog.facts.evidence import Exchange
from minikin.errors import SetupError

MAX_ANSWER = 4 * 1024 * 1024
"""Maximum bytes of one answer."""
_MAX_WAIT = 5.0
"""Seconds to wait if the server requests a pause."""
_RETRIES = 2
_JSON = "application/json"


class Unreachable(Exception):
    """No usable answer: a network error, a redirect, an overload, or an endless answer."""


class Reply(msgspec.Struct, frozen=True):
    """An answer. `body` is its JSON, or `None` if it is not JSON.

    `arrivals` are the seconds from the request to each line of a stream.
    """

    status: int
    body: Any
    text: str
    arrivals: list[tuple[float, str]]
    seconds: float


class Tape:
    """The requests and answers of one check, and their times."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.seconds: list[float] = []
        self.fingerprint: str | None = None


class Client:
    """A client of one OpenAI-compatible server. Raises SetupError for an invalid base URL."""

    def __init__(self, base_url: str, key: str | None = None, timeout: float = 60.0) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SetupError("The base URL must start with http:// or https:// and contain a host.")
        if parts.username or parts.query or parts.fragment:
            raise SetupError("The base URL must not contain a user name, a key or a query.")
        self.base_url = base_url.rstrip("/")
        self.tape = Tape()
        self._key = key
        self._timeout = timeout
        headers = {"Accept-Encoding": "identity", "User-Agent": "minikin-probe"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        # The server can close an open connection just before it is used again.
        fresh = httpx.Limits(max_keepalive_connections=0)
        self._http = httpx.Client(
            headers=headers, timeout=timeout, follow_redirects=False, limits=fresh
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def post(self, path: str, body: Any) -> Reply:
        """Send JSON, or raw bytes. Raises Unreachable."""
        data = body if isinstance(body, bytes) else json.dumps(body, sort_keys=True).encode()
        return self._recorded("POST", path, data, data.decode(errors="replace"))

    def upload(self, path: str, name: str, data: bytes, **fields: str) -> Reply:
        """Send a file in a form. The record has only its content. Raises Unreachable."""
        form = httpx.Request("POST", self.base_url, data=fields, files={"file": (name, data)})
        kind = form.headers["Content-Type"]
        return self._recorded("POST", path, form.read(), data.decode(errors="replace"), kind)

    def look(self, path: str) -> Reply:
        """What is at a path. Raises Unreachable."""
        return self._recorded("GET", path, None, path)

    def _recorded(
        self, method: str, path: str, data: bytes | None, sent: str, kind: str = _JSON
    ) -> Reply:
        reply, wait = self._once(method, path, data, kind)
        for _ in range(_RETRIES):
            if reply.status == 429 or reply.status >= 500:
                time.sleep(min(wait, _MAX_WAIT))
                reply, wait = self._once(method, path, data, kind)
        if reply.status == 429 or reply.status >= 500:
            raise Unreachable(
                f"the server returned status {reply.status}: {self.clean(reply.text)}"
            )
        self.tape.exchanges.append(
            Exchange(self._secret(sent), reply.status, self._secret(reply.text))
        )
        self.tape.seconds.append(reply.seconds)
        return reply

    def get(self, path: str) -> Any:
        """The JSON at a path, or None. It is not in the tape. Raises Unreachable."""
        return self._once("GET", path, None)[0].body

    def delete(self, path: str) -> None:
        """Delete what a check stored. It is not in the tape. Raises Unreachable."""
        self._once("DELETE", path, None)

    def post_unrecorded(self, path: str, body: Any) -> Reply:
        """Send JSON once, and wait for any answer. Neither is in the tape. Raises Unreachable."""
        return self._once("POST", path, json.dumps(body).encode())[0]

    def _once(
        self, method: str, path: str, data: bytes | None, kind: str = _JSON
    ) -> tuple[Reply, float]:
        start = time.perf_counter()
        headers = {"Content-Type": kind} if data is not None else {}
        try:
            url = f"{self.base_url}{path}"
            request = self._http.build_request(method, url, content=data, headers=headers)
            response = self._http.send(request, stream=True)
            try:
                lines = list(self._lines(response, start))
            finally:
                response.close()
        except httpx.HTTPError as error:
            raise Unreachable(f"{type(error).__name__}: {self.clean(str(error))}") from None
        text = "".join(line for _, line in lines)
        reply = Reply(response.status_code, _json(text), text, lines, time.perf_counter() - start)
        wait = response.headers.get("retry-after", "1")
        return reply, float(wait) if re.fullmatch(r"\d{1,4}", wait) else 1.0

    def _lines(self, response: httpx.Response, start: float) -> Iterator[tuple[float, str]]:
        """Lines with their arrival times. All lines of one network read have the same time."""
        if response.is_redirect:
            host = urlsplit(response.headers.get("location", "")).hostname or "another path"
            raise Unreachable(f"the server redirects to {self.clean(host)}, which is not followed")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise Unreachable("the server compressed an answer without permission")
        size, rest = 0, b""
        for piece in response.iter_raw():
            now = time.perf_counter() - start
            size += len(piece)
            if size > MAX_ANSWER or now > 2 * self._timeout:
                raise Unreachable(
                    f"the answer did not end within {MAX_ANSWER} bytes and the time limit"
                )
            *whole, rest = (rest + piece).split(b"\n")
            yield from ((now, f"{line.decode(errors='replace')}\n") for line in whole)
        yield time.perf_counter() - start, rest.decode(errors="replace")

    def clean(self, text: str) -> str:
        """Text from the server without the key and control characters, at most 160 characters."""
        text = self._secret(text)
        return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+", " ", text)[:160].strip()

    def _secret(self, text: str) -> str:
        """Text without the API key. A server can repeat it in an answer."""
        return text.replace(self._key, "***") if self._key else text


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
