"""What the catalog's commands print with, and the options that they share."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

out = Console(highlight=False, markup=False, emoji=False)
errors = Console(stderr=True, highlight=False, markup=False, emoji=False)

_COLOURS = {
    "verified": "green",
    "declared": "cyan",
    "failed": "red",
    "ignored": "red",
    "stale": "yellow",
    "inconclusive": "yellow",
}

FolderOption = Annotated[
    Path | None,
    typer.Option(help="Your records, imports and evidence.", show_default="in your data folder"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON in place of tables.")]


def print_json(value: Any) -> None:
    """Print a value as JSON, for programs."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(titles: Iterable[str], rows: Iterable[Iterable[Text | str]]) -> None:
    """Print rows below titles; long cells fold."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*row)
    out.print(table)


def state_text(state: str) -> Text:
    """A badge's state or a probe's outcome, in its colour."""
    return Text(state, style=_COLOURS.get(state, ""))
