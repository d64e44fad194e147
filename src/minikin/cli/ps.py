"""`minikin ps`: the models of the running server."""

from __future__ import annotations

from rich.table import Table

from minikin.cli.options import KeyOption, UrlOption
from minikin.cli.output import errors, wide


def ps(base_url: UrlOption = None, api_key: KeyOption = None) -> None:
    """List the models of the running server.

    Without --base-url, the command asks the server on port 8000 of this machine.

    Example:

    `minikin ps`
    """
    from minikin.cli.client import ChatClient
    from minikin.cli.reach import USUAL_URL

    table = Table(box=None, pad_edge=False)
    for heading in ("NAME", "CONTEXT"):
        table.add_column(heading, no_wrap=True)
    with ChatClient(base_url or USUAL_URL, api_key) as client:
        served = client.served()
    for model in served:
        table.add_row(model.id, f"{model.context_length:,}" if model.context_length else "")
    wide.print(table)
    errors.print(f"\nServed at {client.base_url}.", soft_wrap=True)
