"""`minikin cluster`: turn options into settings, then run edges and engines on Ray."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from minikin import logs
from minikin.cli.configuration import PREFIX, commands_of, read_configuration
from minikin.cli.options import CacheOption, settings_of, with_settings
from minikin.cli.output import own_name
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
from minikin.cli.switches import command_of
from minikin.config import ClusterSettings, EngineSettings, ModelSettings, ServerSettings
from minikin.errors import SetupError

if TYPE_CHECKING:
    from ray.serve import Application

_RUN = "minikin.cli.cluster.run"
"""The place in a context's `meta` of a function that gets the settings instead of `run_cluster`."""
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

    `minikin cluster qwen3-4b --address auto --host 0.0.0.0 --replicas 8 --database postgresql://db/minikin`
    """
    for name in _OF_ONE_SERVER:
        if settings[name] is not None:
            option = name.replace("_", "-")
            raise SetupError(f"--{option} is for `minikin serve`. A cluster does not have it.")
    size = _size(settings)
    chosen = ServerSettings(
        **access(api_key, api_key_file, admin_key, allowed_host, allowed_origin),
        models=served_models(context, models, model, cache, settings),
        **settings_of(ServerSettings, settings),
    )
    logs.set_up(chosen.log_level, as_json=chosen.log_format == "json")
    from minikin.cluster.run import run_cluster

    context.meta.get(_RUN, run_cluster)(chosen, size)


def deployment(options: dict[str, Any]) -> Application:
    """The application of `minikin cluster` with these options, for the files of Ray Serve.

    Such a file names it as `import_path: minikin.cli.cluster:deployment`, and its `args` are the
    options. Raises SetupError, and UsageError for what the command would not accept.
    """
    from minikin.cli import app
    from minikin.cluster.run import application

    made: list[Application] = []
    root = command_of(app)
    assert isinstance(root, TyperGroup)
    words = list(_words(options))
    above = root.make_context(own_name(), ["cluster", *words], auto_envvar_prefix=PREFIX)
    above.obj = read_configuration(None, root)
    above.default_map = above.obj.defaults
    command = commands_of(root)["cluster"]
    with command.make_context("cluster", words, parent=above) as context:
        context.meta[_RUN] = lambda *settings: made.append(application(*settings))
        command.invoke(context)
    return made[0]


def _size(settings: dict[str, Any]) -> ClusterSettings:
    """Raises SetupError for numbers that do not fit together."""
    size = ClusterSettings(**settings_of(ClusterSettings, settings))
    if not size.most_replicas:
        raise SetupError("--replicas 0 needs --max-replicas, so that requests can start an engine.")
    if size.most_replicas < size.replicas:
        raise SetupError("--max-replicas cannot be less than --replicas.")
    return size


def _words(options: dict[str, Any]) -> Iterator[str]:
    """The words of a command line. A list is an option that is repeated."""
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, bool):
                yield option if each else option.replace("--", "--no-", 1)
            else:
                yield f"{option}={each}"
