"""The routers of this process, for those who send requests through them.

Ray Serve copies the module of a router's class into the process, so a variable of that module, or
of the class, would be another one there.
"""

from __future__ import annotations

from typing import Any

routers: dict[str, Any] = {}
"""By the names of their deployments."""


def has_replica(deployment: str) -> bool:
    """Whether a replica of the deployment is left. True before the first request too."""
    router = routers.get(deployment)
    return router is None or bool(router.curr_replicas)
