"""Chooses a replica for a request: the one of its session, unless that one has too much to do."""

from __future__ import annotations

from typing import Any

from ray.serve._private.common import ReplicaID
from ray.serve._private.request_router.common import PendingRequest
from ray.serve._private.request_router.replica_wrapper import RunningReplica
from ray.serve.experimental.consistent_hash_router import ConsistentHashRouter

from minikin.cluster import routers
from minikin.cluster.bound import bound


class BoundedHashRouter(ConsistentHashRouter):
    """Consistent hashing by session, with bounded loads."""

    def initialize_state(self, **kwargs: Any) -> None:
        """Called by Ray Serve at the first request."""
        super().initialize_state(**kwargs)
        routers.routers[self._deployment_id.name] = self

    async def choose_replicas(
        self,
        candidate_replicas: list[RunningReplica],
        pending_request: PendingRequest | None = None,
    ) -> list[list[RunningReplica]]:
        """The replicas to try, in this order. Those with too much to do come last."""
        ranks = await super().choose_replicas(candidate_replicas, pending_request)
        loads = {id(rank): self._load(rank[0].replica_id) for rank in ranks}
        replicas = list(self._replicas)
        most = bound(sum(map(self._load, replicas)), len(replicas))
        return sorted(ranks, key=lambda rank: loads[id(rank)] >= most)

    def _load(self, replica: ReplicaID) -> int:
        """The requests that this router knows to run there."""
        return self._replica_queue_len_cache.get(replica) or 0
