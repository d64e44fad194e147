"""Random identifiers in OpenAI's formats."""

from __future__ import annotations

import secrets
import string
import time
from hashlib import blake2b

from minikin.config import ORIGINAL, SNAPSHOT

REQUEST_ID_DIGITS = 32
_ALPHABET = string.ascii_letters + string.digits


def completion_id() -> str:
    """`chatcmpl-` and 29 letters and digits."""
    return f"chatcmpl-{_random(29)}"


def text_completion_id() -> str:
    """`cmpl-` and 29 letters and digits."""
    return f"cmpl-{_random(29)}"


def call_id() -> str:
    """`call_` and 24 letters and digits."""
    return f"call_{_random(24)}"


def file_id() -> str:
    """`file-` and 22 letters and digits."""
    return f"file-{_random(22)}"


class ResponseIds:
    """The ids of a response and its items: a prefix and 50 hex digits.

    16 digits are random and the same in the whole response, then come `00`, the Unix time in 8
    digits, and 24 random ones.
    """

    def __init__(self, response: str | None = None, created: int | None = None) -> None:
        """New ids, or more of those of a response that exists."""
        self.created = created or int(time.time())
        self._shared = response[5:21] if response else secrets.token_hex(8)
        self.response = response or self.item("resp")

    def item(self, prefix: str) -> str:
        """A new id."""
        return f"{prefix}_{self._shared}00{int(time.time()):08x}{secrets.token_hex(12)}"


def conversation_id() -> str:
    """`conv_` and 48 hex digits."""
    return f"conv_{secrets.token_hex(24)}"


def batch_id() -> str:
    """`batch_` and 32 hex digits."""
    return f"batch_{secrets.token_hex(16)}"


class LineIds:
    """The ids that the answer to a line of a batch has, each time that the line runs."""

    def __init__(self, batch: str, created: int, line: int) -> None:
        digest = blake2b(f"{batch} {line}".encode(), digest_size=20).hexdigest()
        self.completion = f"chatcmpl-{digest[:29]}"
        self.response = f"resp_{digest[:16]}00{created:08x}{digest[16:]}"


def batch_request_id() -> str:
    """`batch_req_` and 32 hex digits."""
    return f"batch_req_{secrets.token_hex(16)}"


def request_id() -> str:
    """`req_` and REQUEST_ID_DIGITS hex digits."""
    return f"req_{secrets.token_hex(REQUEST_ID_DIGITS // 2)}"


def reported_model(name: str) -> str:
    """The model in the answer to a request for `name`: OpenAI reports the dated name."""
    return SNAPSHOT if name == ORIGINAL else name


def _random(size: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(size))
