"""The routers of this process, for those who send requests through them.

Ray Serve copies the module of a router's class into the process, so a variable of that module, or
of the class, would be another one there.
"""

from __future__ import annotations

from typing import Any

routers: dict[str, Any] = {}
"""By the names of their deployments."""


def replicas(deployment: str) -> set[str] | None:
    """The unique ids of its replicas that take requests. None before the first request."""
    router = routers.get(deployment)
    return None if router is None else {replica.unique_id for replica in router.curr_replicas}
