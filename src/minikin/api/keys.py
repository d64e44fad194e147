"""API keys: who may come in, and whose stored completions are whose."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from starlette.datastructures import Headers

from minikin.errors import Unauthorized

NO_KEY = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header "
    "using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
)
ANYONE = ""
"""The owner of everything on a server that asks for no key."""


class Keys:
    """The keys of a server, kept as digests only."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = [_digest(key) for key in keys]

    def owner(self, headers: Headers) -> str:
        """Who sends these headers: a name derived from the key.

        Raises Unauthorized unless there is exactly one Authorization header with one of the keys.
        Every key is compared in full, so that the time taken tells nothing.
        """
        if not self._digests:
            return ANYONE
        given = headers.getlist("authorization")
        if not given:
            raise Unauthorized(NO_KEY)
        scheme, _, key = given[0].partition(" ")
        found = [hmac.compare_digest(_digest(key), digest) for digest in self._digests]
        if len(given) > 1 or scheme.lower() != "bearer" or not any(found):
            raise Unauthorized(
                f"Incorrect API key provided: {_masked(key)}.", code="invalid_api_key"
            )
        return _digest(key).hex()[:16]


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()


def _masked(key: str) -> str:
    """A key that its owner can recognise and nobody can use."""
    key = "".join(char if char.isascii() and char.isprintable() else "?" for char in key)
    if len(key) < 16:
        return "*" * len(key)
    return f"{key[:4]}{'*' * min(len(key) - 8, 32)}{key[-4:]}"
