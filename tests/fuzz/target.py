"""A target: what the fuzzer calls, what it begins with, and how it changes that."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from minikin.errors import MinikinError
from tests.attacks.mutation import change_value

MOST_MESSAGE = 2_000
"""Characters of an error. It repeats only little of the input."""

Change = Callable[[bytes, random.Random], bytes | None]


class FuzzFault(Exception):
    """What must not happen."""


@dataclass(frozen=True)
class Target:
    """One thing that reads untrusted bytes."""

    run: Callable[[bytes], None]
    """Raises what is a fault."""
    seeds: Callable[[], list[bytes]]
    """Valid inputs."""
    most: int = 4_096
    """The maximum length of an input."""
    change: Change | None = None
    """An input with one part changed, or None if it has no such parts."""
    words: tuple[str, ...] = ()
    """What the fuzzer puts into inputs."""


@contextmanager
def refusals() -> Iterator[None]:
    """A block that may raise Minikin's own errors, each with a short message that is text."""
    try:
        yield
    except MinikinError as error:
        error.message.encode()  # not with half a surrogate pair, which no answer can contain
        if len(error.message) > MOST_MESSAGE:
            raise FuzzFault(f"a message of {len(error.message)} characters") from error


@cache
def scratch() -> Path:
    """A folder for files, in memory if possible."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="minikin-fuzz-", dir=memory if memory.is_dir() else None))


def change_json(data: bytes, chance: random.Random, prefix: int = 0) -> bytes | None:
    """Change one value of the JSON after the first `prefix` bytes."""
    try:
        value = json.loads(data[prefix:])
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict | list) or not value:
        return None
    for _ in range(chance.randint(1, 3)):
        change_value(value, chance)
    return data[:prefix] + json.dumps(value).encode()
