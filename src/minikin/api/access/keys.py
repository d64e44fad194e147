"""API keys: authentication, the owners of what is stored, and a key file that can change."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from starlette.datastructures import Headers

from minikin.api.access.account import Account
from minikin.api.access.key import Key, KeyLimits, digest, read_file, read_keys
from minikin.config import ServerSettings
from minikin.errors import Forbidden, RateLimited, SetupError, Unauthorized

log = logging.getLogger(__name__)

NO_KEY = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header "
    "using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
)
MAX_WRONG = 60
"""Maximum wrong keys from one address per minute. The next one gets 429."""
_MAX_ADDRESSES = 10_000
LOOK_SECONDS = 0.25
"""How often the key file is looked at."""
ANYONE = ""
"""The owner of everything on a server without keys."""


class WrongKeys:
    """The number of wrong keys from each address in this minute.

    A correct key is accepted anyway, because clients behind one proxy share its address.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._since = 0.0

    def count(self, address: str) -> None:
        """Count one more wrong key. Raises RateLimited if they are too many."""
        now = time.monotonic()
        if now >= self._since + 60 or len(self._counts) >= _MAX_ADDRESSES:
            self._counts.clear()
            self._since = now
        self._counts[address] += 1
        if self._counts[address] > MAX_WRONG:
            seconds = self._since + 60 - now
            raise RateLimited(
                f"Rate limit reached: over {MAX_WRONG} incorrect API keys in a minute. "
                f"Please try again in {seconds:.0f}s.",
                "requests",
                retry_after=seconds,
            )


class Keys:
    """The keys of a server, and what each has used. Only their digests are stored.

    The keys of a file follow the file while the server runs (a Worker of the Service). A file that
    cannot be read or is not valid changes nothing.
    """

    def __init__(self, settings: ServerSettings) -> None:
        """Raises SetupError if the key file is not valid."""
        self._file = settings.api_key_file
        self._needed = settings.needs_key
        """A key of the operator alone does not close the rest."""
        self._given = [
            *read_keys(settings.api_keys),
            *read_keys(settings.admin_keys, is_admin=True),
        ]
        self._keys: dict[str, Key] = {}
        self._accounts: dict[str, Account] = {ANYONE: Account(KeyLimits())}
        self._wrong = WrongKeys()
        self._seen = _state(self._file)
        self._use(read_file(self._file) if self._file else [])

    def owner(self, headers: Headers, address: str, *, as_admin: bool = False) -> str:
        """The owner of a request with these headers: a name derived from the key.

        `as_admin`: the request is for a page of the operator. Raises Unauthorized unless there is
        exactly one Authorization header with one of the keys, Forbidden if its key is not one of
        the operator's, RateLimited if `address` sent too many wrong keys. The key is found by its
        digest, which no client can choose, so the time reveals nothing.
        """
        given = headers.getlist("authorization")
        key = self._keys.get(digest(_bearer(given))) if given else None
        only_admin = as_admin and self._has_admin
        if not (self._needed or only_admin):
            return key.owner if key else ANYONE
        if not given:
            raise Unauthorized(NO_KEY)
        if key is None:
            self._wrong.count(address)
            raise Unauthorized(
                f"Incorrect API key provided: {_masked(given[0].partition(' ')[2])}.",
                code="invalid_api_key",
            )
        if only_admin and not key.is_admin:
            raise Forbidden(
                "This page needs a key of the operator: one of --admin-key, or one with 'admin' "
                "in the key file.",
                code="admin_key_needed",
            )
        return key.owner

    def account(self, owner: str) -> Account:
        """What the key of `owner` has used. A key that was removed has no limits."""
        return self._accounts.get(owner) or Account(KeyLimits())

    async def look(self) -> None:
        """Read the key file again if it has changed."""
        state = _state(self._file)
        if self._file and state != self._seen:
            self._seen = state
            self._read_again(self._file)

    def _read_again(self, file: Path) -> None:
        try:
            keys = read_file(file)
        except SetupError as error:
            log.error("The API keys stay as they were: %s", error.message)
            return
        self._use(keys)
        log.info("Read %d API keys from %s", len(keys), file)

    def _use(self, from_file: Iterable[Key]) -> None:
        """Accept these keys and those of the options. What a key has used stays counted."""
        self._keys = {key.digest: key for key in (*from_file, *self._given)}
        self._has_admin = any(key.is_admin for key in self._keys.values())
        accounts = {ANYONE: self._accounts[ANYONE]}
        for key in self._keys.values():
            account = self._accounts.get(key.owner) or Account(key.limits, key.name)
            if account.limits != key.limits:
                account.set_limits(key.limits)
            accounts[key.owner] = account
        self._accounts = accounts


def _state(file: Path | None) -> tuple[int, int, int] | None:
    """What shows that the file changed. None without a file."""
    try:
        found = file.stat() if file else None
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino) if found else None


def _bearer(given: list[str]) -> str:
    """The key in the only Authorization header, or nothing."""
    scheme, _, key = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    return key if scheme.lower() == "bearer" else ""


def _masked(key: str) -> str:
    """A masked key that its owner can recognise and others cannot use."""
    key = "".join(char if char.isascii() and char.isprintable() else "?" for char in key)
    if len(key) < 16:
        return "*" * len(key)
    return f"{key[:4]}{'*' * min(len(key) - 8, 32)}{key[-4:]}"
