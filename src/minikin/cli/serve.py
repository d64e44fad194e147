"""`minikin serve`: options to settings, then the server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from minikin.cli.access import read_api_keys
from minikin.cli.options import ENGINE_DEFAULTS, SERVER_DEFAULTS, CacheOption, locate_model
from minikin.cli.output import errors
from minikin.config import EngineSettings, ServerSettings
from minikin.hub.known import DEFAULT_MODEL


def serve(
    model: Annotated[
        str, typer.Option(help="A name of `minikin models`, a GGUF file, a folder, an address.")
    ] = DEFAULT_MODEL,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")
    ] = SERVER_DEFAULTS["host"],
    port: Annotated[
        int, typer.Option(min=1, max=65535, metavar="N", help="Port to listen on.")
    ] = SERVER_DEFAULTS["port"],
    default_max_tokens: Annotated[
        int, typer.Option(min=1, metavar="N", help="Output limit of a request that states none.")
    ] = SERVER_DEFAULTS["default_max_tokens"],
    max_choices: Annotated[
        int, typer.Option(min=1, max=128, metavar="N", help="The largest `n` of a request.")
    ] = SERVER_DEFAULTS["max_choices"],
    extensions: Annotated[
        bool,
        typer.Option(
            "--extensions",
            help="Take top_k, min_p and repetition_penalty, which OpenAI refuses as unrecognised.",
        ),
    ] = SERVER_DEFAULTS["extensions"],
    max_queued: Annotated[
        int, typer.Option(min=1, metavar="N", help="Requests in flight; one more is answered 503.")
    ] = SERVER_DEFAULTS["max_queued"],
    context_length: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Tokens of prompt and answer together.",
            show_default="the model's limit",
        ),
    ] = ENGINE_DEFAULTS["context_length"],
    kv_cache_tokens: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="Tokens that all requests together may keep in memory."
        ),
    ] = ENGINE_DEFAULTS["kv_cache_tokens"],
    max_running: Annotated[
        int, typer.Option(min=1, metavar="N", help="Answers computed side by side.")
    ] = ENGINE_DEFAULTS["max_running"],
    threads: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="CPU threads.", show_default="one a core")
    ] = ENGINE_DEFAULTS["threads"],
    device: Annotated[
        str, typer.Option(help="Where to compute: cpu, cuda, cuda:1.")
    ] = ENGINE_DEFAULTS["device"],
    api_key: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY",
            help="A key that clients must send one of; repeatable. Without keys anyone may come "
            "in. Other users of this machine can see a command's options: prefer a file.",
        ),
    ] = None,
    api_key_file: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, metavar="FILE", help="A file with such keys, one a line."
        ),
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A host name by which clients reach the server, such as box.lan; repeatable. "
            "localhost, --host and plain addresses are allowed without it.",
        ),
    ] = None,
    database: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False,
            metavar="FILE",
            help="SQLite file of the completions kept with `store: true`.",
            show_default="minikin/completions.sqlite3 in the user's data folder",
        ),
    ] = SERVER_DEFAULTS["database"],
    cache: CacheOption = None,
) -> None:
    """Serve a model at /v1 as OpenAI serves gpt-4.1-mini.

    The model is fetched on first use and found offline from then on. It answers to its own name and
    to gpt-4.1-mini.

    Examples:

    `minikin serve`

    `minikin serve --model ./Qwen3-4B-Q4_K_M.gguf --port 9000`

    `minikin serve --host 0.0.0.0 --api-key-file keys.txt --allowed-host box.lan`
    """
    keys = read_api_keys(api_key or [], api_key_file)
    local = locate_model(model, cache)
    errors.print(f"Loading {local.id}", soft_wrap=True)
    settings = ServerSettings(
        engine=EngineSettings(
            model=local.path,
            context_length=context_length,
            kv_cache_tokens=kv_cache_tokens,
            max_running=max_running,
            threads=threads,
            device=device,
        ),
        model_id=local.id,
        host=host,
        port=port,
        default_max_tokens=default_max_tokens,
        max_queued=max_queued,
        max_choices=max_choices,
        extensions=extensions,
        api_keys=keys,
        allowed_hosts=tuple(allowed_host or ()),
        database=database,
    )
    from minikin.api.server import serve as run_server

    run_server(settings)
