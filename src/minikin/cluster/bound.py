"""How many requests a replica may have before the requests of its sessions go to others."""

from __future__ import annotations

import math

BOUND = 1.25
"""Times the mean of all replicas, as HAProxy's `hash-balance-factor 125` has it (Mirrokni et al.,
Consistent Hashing with Bounded Loads, 2016)."""

LEAST = 8
"""A replica with fewer requests is never too busy: one more answer in its steps costs little, and
computing its prompt again elsewhere costs much."""


def bound(requests: int, replicas: int) -> int:
    """The most requests of one replica, if all have so many and one more comes."""
    return max(LEAST, math.ceil(BOUND * (requests + 1) / max(1, replicas)))
