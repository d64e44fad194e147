"""`minikin key new`: make an API key."""

from __future__ import annotations

from typing import Annotated

import typer

key = typer.Typer(
    name="key",
    help="Make API keys for a server.\n\nExample: `minikin key new ci --requests 60`",
    no_args_is_help=True,
)
_Limit = Annotated[
    int | None, typer.Option(min=1, max=10**9 - 1, metavar="N", show_default="no limit")
]


@key.callback()
def _key() -> None:
    """Make API keys for a server."""


@key.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who uses it, such as ci or ada.")],
    requests: _Limit = None,
    tokens: _Limit = None,
    concurrent: _Limit = None,
    admin: Annotated[
        bool, typer.Option("--admin", help="A key of the operator, also for /metrics.")
    ] = False,
) -> None:
    """Print a new key once, and the line for the file of --api-key-file.

    The line has a digest of the key, so the file reveals no key. --requests and --tokens are limits
    a minute, --concurrent is one of requests at the same time. A server that runs with the file
    accepts the key within a second.

    Examples:

    `minikin key new ada`

    `minikin key new ci --requests 60 --tokens 100000 --concurrent 8`
    """
    from minikin.api.access.key import line_of, new_key, read_line

    limits = {"requests": requests, "tokens": tokens, "concurrent": concurrent}
    options = [f"{field}={number}" for field, number in limits.items() if number]
    made = new_key()
    line = line_of(made, name, [*options, *(["admin"] if admin else [])])
    read_line(line, 1)
    print(f"Key, shown only now:\n\n  {made}\n\nLine for the key file:\n\n  {line}\n")
