"""One API key: its digest, its name and its limits, as a line of a key file has them."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable
from pathlib import Path

import msgspec

from minikin.errors import SetupError

PREFIX = "mk-"
"""The start of every key that Minikin makes."""
HASHED = "sha256:"
"""The start of a digest, which replaces its key in a file."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_OPTIONS = "name=NAME, requests=N, tokens=N, concurrent=N and admin"


class KeyLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one key can use. None: no limit."""

    requests: int | None = None
    """Requests a minute."""
    tokens: int | None = None
    """Tokens a minute, of prompts and answers together."""
    concurrent: int | None = None
    """Requests at the same time."""


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key of the server, without the key itself."""

    digest: str
    """SHA-256, in hex."""
    name: str = ""
    limits: KeyLimits = KeyLimits()
    is_admin: bool = False
    """Whether it opens the pages of the operator too."""

    @property
    def owner(self) -> str:
        """The owner of everything that requests with this key store."""
        return self.digest[:16]


def digest(key: str) -> str:
    """The SHA-256 of a key, in hex."""
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()


def new_key() -> str:
    """A random key of 256 bits."""
    return PREFIX + secrets.token_urlsafe(32)


def line_of(key: str, name: str, options: Iterable[str]) -> str:
    """The line of a key file for `key`, which it does not reveal."""
    return " ".join([HASHED + digest(key), f"name={name}", *options])


def read_file(file: Path) -> list[Key]:
    """The keys in `file`: one a line, with options after it. `#` begins a comment.

    Raises SetupError if the file cannot be read, has a line that is not valid or has no key: a user
    who names a file wants a server with keys.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a text file"
        raise SetupError(f"Cannot read the API keys in {file}: {reason}.") from error
    lines = [(at, line.strip()) for at, line in enumerate(text.splitlines(), 1)]
    keys = [read_line(line, at) for at, line in lines if line and not line.startswith("#")]
    if not keys:
        raise SetupError(f"{file} contains no API key. Write one key per line.")
    return keys


def read_line(line: str, at: int) -> Key:
    """The key in a line, which is the one of number `at`.

    Raises SetupError for a key that a client cannot send in a header, and for an unknown option.
    No message contains text of the line, which can be a key.
    """
    word, *options = line.split()
    values = _values(options, at)
    is_admin, name = "admin" in values, values.get("name", "")
    if values.pop("admin", ""):
        raise _wrong(at, "admin has no value")
    if "name" in values and not _NAME.fullmatch(values.pop("name")):
        raise _wrong(at, "a name has letters, digits and . _ @ -, 64 at most")
    limits = KeyLimits(**{field: _number(field, values[field], at) for field in values})
    return Key(digest=_digest_of(word, at), name=name, limits=limits, is_admin=is_admin)


def read_keys(given: Iterable[str], *, is_admin: bool = False) -> list[Key]:
    """The keys `given` as options of a command. Raises SetupError."""
    return [Key(digest=_digest_of(key, at), is_admin=is_admin) for at, key in enumerate(given, 1)]


def _values(options: list[str], at: int) -> dict[str, str]:
    values: dict[str, str] = {}
    for option in options:
        name, _, value = option.partition("=")
        if name not in ("name", "admin", *KeyLimits.__struct_fields__):
            raise _wrong(at, f"the options after a key are {_OPTIONS}")
        if name in values:
            raise _wrong(at, "an option occurs twice")
        values[name] = value
    return values


def _number(field: str, text: str, at: int) -> int:
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text[:10]) < 10**9:
        raise _wrong(at, f"{field} is a number from 1 to 999999999")
    return int(text)


def _digest_of(word: str, at: int) -> str:
    if word.startswith(HASHED):
        found = word.removeprefix(HASHED).lower()
        if not _DIGEST.fullmatch(found):
            raise _wrong(at, "after sha256: come 64 hex digits")
        return found
    if not word or not all("!" <= char <= "~" for char in word):
        raise _wrong(at, "a key is one word of ASCII letters, digits and punctuation")
    return digest(word)


def _wrong(at: int, reason: str) -> SetupError:
    return SetupError(f"API key {at} is not valid: {reason}.")
