"""`minikin cluster`: turn options into settings, then run edges and engines on Ray."""

from __future__ import annotations

from typing import Any

import typer

from minikin import logs
from minikin.cli.options import CacheOption, settings_of, with_settings
from minikin.cli.serve import (
    AdminKeys,
    Hosts,
    KeyFile,
    Keys,
    Models,
    MoreModels,
    Origins,
    access,
    served_models,
)
from minikin.config import ClusterSettings, EngineSettings, ModelSettings, ServerSettings
from minikin.errors import SetupError

_OF_ONE_SERVER = ("tls_certificate", "tls_key", "unload_after")
"""Settings that a cluster does not have."""


@with_settings(ClusterSettings, ServerSettings, ModelSettings, EngineSettings)
def cluster(
    context: typer.Context,
    models: Models = None,
    model: MoreModels = None,
    api_key: Keys = None,
    api_key_file: KeyFile = None,
    admin_key: AdminKeys = None,
    allowed_host: Hosts = None,
    allowed_origin: Origins = None,
    cache: CacheOption = None,
    **settings: Any,
) -> None:
    """Serve models with several engines, on one machine or many, with Ray Serve.

    Only for private networks: Ray listens on all addresses of each machine, and whoever reaches its
    ports can run programs. It needs `pip install 'minikin[ray]'`. On other machines, start `ray
    start --address HEAD:6379` first. Each machine needs the model's file at the same path, and all
    of them one PostgreSQL database.

    Examples:

    `minikin cluster --replicas 2 --edges 2`

    `minikin cluster qwen3-4b --address auto --replicas 8 --database postgresql://minikin@db/minikin`
    """
    for name in _OF_ONE_SERVER:
        if settings[name] is not None:
            option = name.replace("_", "-")
            raise SetupError(f"--{option} is for `minikin serve`. A cluster does not have it.")
    chosen = ServerSettings(
        models=served_models(context, models, model, cache, settings),
        **access(api_key, api_key_file, admin_key, allowed_host, allowed_origin),
        **settings_of(ServerSettings, settings),
    )
    logs.set_up(chosen.log_level, as_json=chosen.log_format == "json")
    from minikin.cluster.run import run_cluster

    run_cluster(chosen, ClusterSettings(**settings_of(ClusterSettings, settings)))
