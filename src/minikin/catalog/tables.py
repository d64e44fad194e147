"""How the catalog's commands print, and their shared options."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from minikin.catalog.facts.evidence import BadgeState, Outcome
from minikin.catalog.facts.fact import Record

out = Console(highlight=False, markup=False, emoji=False)
errors = Console(stderr=True, highlight=False, markup=False, emoji=False)

_COLOURS: dict[BadgeState | Outcome, str] = {
    "verified": "green",
    "declared": "cyan",
    "failed": "red",
    "ignored": "red",
    "absent": "",
    "stale": "yellow",
    "inconclusive": "yellow",
}

FolderOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Folder of your records, imports and evidence.",
        show_default="in your data folder",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


def print_json(value: Any) -> None:
    """Print a value as JSON, for programs."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(titles: Iterable[str], rows: Iterable[Iterable[Text | str]]) -> None:
    """Print rows below titles. Long cells are wrapped."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*row)
    out.print(table)


def state_text(state: BadgeState | Outcome) -> Text:
    """The state of a badge or the outcome of a probe, in its colour."""
    return Text(state, style=_COLOURS.get(state, ""))


def print_conflicts(records: Iterable[Record]) -> None:
    """Print the fields whose sources differ, if there are any."""
    rows = [
        [record.id, field, "; ".join(f"{f.value} ({f.source}, {f.date})" for f in facts)]
        for record in records
        for field, facts in record.conflicts().items()
    ]
    if rows:
        print_table(["SOURCES DIFFER ON", "FIELD", "VALUES"], rows)
