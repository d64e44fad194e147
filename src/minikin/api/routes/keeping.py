"""Stores finished answers. An answer that cannot be stored is sent all the same, and says so."""

from __future__ import annotations

import logging
from collections.abc import Awaitable

from minikin.errors import SetupError, StoreFailure

log = logging.getLogger(__name__)

_NOT_STORED = "The answer is complete, but the server could not store it"
WARNING = f'299 minikin "{_NOT_STORED}"'
"""The value of the `warning` header of an answer that is not stored (RFC 7234, 5.5)."""
COMMENT = f": warning: {_NOT_STORED}\n\n".encode()
"""The same in a stream: a comment, which clients skip."""


async def is_kept(storing: Awaitable[object]) -> bool:
    """Whether a finished answer is stored. If not, the log has the reason."""
    try:
        await storing
    except (StoreFailure, SetupError) as error:
        log.error("A finished answer is not stored: %s", getattr(error, "reason", error.message))
        return False
    return True
