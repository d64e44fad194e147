"""API keys: authentication, and the owners of stored completions."""

from __future__ import annotations

import hashlib
import hmac
import math
import time
from collections import Counter
from collections.abc import Iterable

from starlette.datastructures import Headers

from minikin.errors import ErrorType, Overloaded, Unauthorized

NO_KEY = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header "
    "using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
)
MAX_WRONG = 60
"""Maximum wrong keys from one address per minute. The next one gets 429."""
_MAX_ADDRESSES = 10_000
ANYONE = ""
"""The owner of everything on a server without keys."""


class TooManyWrongKeys(Overloaded):
    """An address sends too many wrong keys."""

    status = 429
    type: ErrorType = "requests"

    def __init__(self, seconds: int) -> None:
        super().__init__(
            f"Rate limit reached: over {MAX_WRONG} incorrect API keys in a minute. "
            f"Please try again in {seconds}s.",
            retry_after=seconds,
        )
        self.code = "rate_limit_exceeded"


class WrongKeys:
    """The number of wrong keys from each address in this minute.

    A correct key is accepted anyway, because clients behind one proxy share its address.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._since = 0.0

    def count(self, address: str) -> None:
        """Count one more wrong key. Raises TooManyWrongKeys."""
        now = time.monotonic()
        if now >= self._since + 60 or len(self._counts) >= _MAX_ADDRESSES:
            self._counts.clear()
            self._since = now
        self._counts[address] += 1
        if self._counts[address] > MAX_WRONG:
            raise TooManyWrongKeys(math.ceil(self._since + 60 - now))


class Keys:
    """The keys of a server. Only their digests are stored."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = [_digest(key) for key in keys]
        self._wrong = WrongKeys()

    def owner(self, headers: Headers, address: str) -> str:
        """The owner of a request with these headers: a name derived from the key.

        Raises Unauthorized unless there is exactly one Authorization header with one of the keys,
        TooManyWrongKeys if `address` sent too many wrong keys. Every key is compared in full, so
        that the time reveals nothing.
        """
        if not self._digests:
            return ANYONE
        given = headers.getlist("authorization")
        if not given:
            raise Unauthorized(NO_KEY)
        scheme, _, key = given[0].partition(" ")
        found = [hmac.compare_digest(_digest(key), digest) for digest in self._digests]
        if len(given) > 1 or scheme.lower() != "bearer" or not any(found):
            self._wrong.count(address)
            raise Unauthorized(
                f"Incorrect API key provided: {_masked(key)}.", code="invalid_api_key"
            )
        return _digest(key).hex()[:16]


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()


def _masked(key: str) -> str:
    """A masked key that its owner can recognise and others cannot use."""
    key = "".join(char if char.isascii() and char.isprintable() else "?" for char in key)
    if len(key) < 16:
        return "*" * len(key)
    return f"{key[:4]}{'*' * min(len(key) - 8, 32)}{key[-4:]}"
