"""Runs edges and engines on Ray Serve: on this machine until a signal, or on a Ray cluster."""

from __future__ import annotations

import logging
import os
import signal
import time
from typing import TYPE_CHECKING, Any

from minikin.config import ClusterSettings, EngineSettings, ServerSettings
from minikin.errors import SetupError

if TYPE_CHECKING:
    from ray.serve import Application

ENVIRONMENT = {
    # HAProxy before the edges, and one thread for all of a replica's work: a quarter of the cost.
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    # Ray gives workers the lowest priority otherwise, and engines are workers.
    "RAY_worker_niceness": "0",
    # How long a replica that ends waits until every HAProxy knows it, and how often these ask.
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "5",
    "RAY_SERVE_HAPROXY_HEALTH_CHECK_INTER": "1s",
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "minikin.cluster.request_id:middlewares",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""What the processes of Ray must have too: `deploy/ray.env` is the same for `ray start`."""
LONGEST_ANSWER = 600.0
"""Seconds that a replica has for its answers when it is replaced."""
IDLE_SECONDS = 600.0
"""How long an engine that the others could replace stays."""
EVERY_ADDRESS = ("0.0.0.0", "::")
"""Hosts that are all addresses of a machine."""
CPU = "cpu"
NAME = "minikin"
"""The application's name in Ray Serve."""


def run_cluster(settings: ServerSettings, cluster: ClusterSettings) -> None:
    """Serve until a signal. On a Ray cluster that runs, deploy and return. Raises SetupError."""
    os.environ.update({name: os.environ.get(name, text) for name, text in ENVIRONMENT.items()})
    try:
        import ray
        from ray import serve
    except ImportError as error:
        raise SetupError(
            "A cluster needs Ray, which is not installed: pip install 'minikin[ray]'"
        ) from error
    begun = time.perf_counter()
    address = cluster.address or "local"
    ray.init(address=address, include_dashboard=False, logging_level=logging.WARNING)
    try:
        check_host(settings.host, sum(node["Alive"] for node in ray.nodes()))
        serve.start(http_options={"host": settings.host, "port": settings.port})
        serve.run(application(settings, cluster), name=NAME)
        seconds = time.perf_counter() - begun
        names = ", ".join(name for model in settings.models for name in model.names)
        where = f"http://{settings.host}:{settings.port}/v1"
        print(f"Ready after {seconds:.1f} s: {names} at {where}", flush=True)
        if cluster.address is None:
            _wait()
            serve.shutdown()
    finally:
        ray.shutdown()


def check_host(host: str, machines: int) -> None:
    """Raise SetupError if the machines cannot reach each other's edges at this address.

    Ray gives it to the HAProxy and the edges of each machine, and each HAProxy asks all edges.
    """
    if machines > 1 and host not in EVERY_ADDRESS:
        raise SetupError(
            f"The Ray cluster has {machines} machines, and only one of them can listen on {host}. "
            "Set --host 0.0.0.0. Use it in a private network only."
        )


def application(settings: ServerSettings, cluster: ClusterSettings) -> Application:
    """The edges and engines. If they run already, Ray Serve replaces one replica at a time."""
    from ray import serve

    from minikin.cluster.edge import EdgeReplica
    from minikin.cluster.engine_replica import EngineReplica

    engines = {
        model.id: serve.deployment(
            name=f"engine-{model.id}",
            max_ongoing_requests=model.engine.max_running + settings.max_queued,
            graceful_shutdown_timeout_s=LONGEST_ANSWER,
            health_check_period_s=2,
            request_router_config={
                "request_router_class": "minikin.cluster.router.BoundedHashRouter"
            },
            **scale(model.engine, cluster),
        )(EngineReplica).bind(model.engine)
        for model in settings.models
    }
    return serve.deployment(
        name="edge",
        num_replicas=cluster.edges,
        max_ongoing_requests=2 * settings.max_queued,
        graceful_shutdown_timeout_s=LONGEST_ANSWER,
        health_check_period_s=2,
        ray_actor_options={"num_cpus": 0},
    )(EdgeReplica).bind(settings, engines)


def scale(engine: EngineSettings, cluster: ClusterSettings) -> dict[str, Any]:
    """How many replicas an engine has, and what Ray reserves for each, as Serve's options."""
    needs = {"num_cpus": engine.threads or 1}
    if engine.device != CPU:
        needs = {"num_gpus": 1, "num_cpus": 1}
    if cluster.most_replicas == cluster.replicas:
        return {"num_replicas": cluster.replicas, "ray_actor_options": needs}
    growing = {
        "min_replicas": cluster.replicas,
        "max_replicas": cluster.most_replicas,
        "target_ongoing_requests": engine.max_running,
        "downscale_delay_s": IDLE_SECONDS,
    }
    return {"autoscaling_config": growing, "ray_actor_options": needs}


def _wait() -> None:
    """Until SIGTERM or SIGINT."""
    ends = (signal.SIGTERM, signal.SIGINT)
    for end in ends:
        signal.signal(end, lambda *_: None)
    signal.sigwait(ends)
