"""`minikin catalog ...`: query the catalog, and publish it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text
from typer.core import TyperGroup

from minikin.catalog import folder_commands
from minikin.catalog.facts import numbers
from minikin.catalog.facts.evidence import BadgeState
from minikin.catalog.facts.fact import Record
from minikin.catalog.facts.prices import Job
from minikin.catalog.facts.prices import cost as quote
from minikin.catalog.facts.schema import capabilities
from minikin.catalog.pages.site import Site, build_time
from minikin.catalog.sources import catalog as catalogs
from minikin.catalog.sources import query
from minikin.catalog.sources.catalog import Catalog
from minikin.catalog.tables import (
    FolderOption,
    JsonOption,
    out,
    print_conflicts,
    print_json,
    print_table,
    state_text,
)
from minikin.errors import InvalidRequest, SetupError
from minikin.memory import lasting


class _Group(TyperGroup):
    """An unknown name ends a command like every other error in its arguments."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Raises SetupError in place of InvalidRequest."""
        try:
            return super().invoke(ctx)
        except InvalidRequest as error:
            raise SetupError(error.message) from None


catalog_app = typer.Typer(
    cls=_Group,
    help="Models, their authors and providers, and what probes observed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


_MEANING = (
    "\nverified: a probe of that server saw that it works. declared: a source says so. Both are "
    "about the API. Neither says how good the answers are: a larger model usually answers better. "
    "quality is what its author measured; IFEval is the percentage of instructions followed."
)
_COMPARED = "A model, or an offering (provider/model)."


def _load(folder: Path | None) -> Catalog:
    with lasting():
        return catalogs.load(folder, build_time())


catalog_app.command()(folder_commands.validate)
catalog_app.command("import")(folder_commands.import_source)
for _command in (
    folder_commands.update,
    folder_commands.diff,
    folder_commands.patches,
    folder_commands.forget,
):
    catalog_app.command()(_command)


@catalog_app.command("list")
def list_(
    capability: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only offerings with this capability. Repeatable."),
    ] = None,
    verified: Annotated[
        bool,
        typer.Option(
            "--verified",
            help="Only offerings where a probe verified the capabilities, or without them any.",
        ),
    ] = False,
    author: Annotated[
        str | None, typer.Option(metavar="ID", help="Only models of this author.")
    ] = None,
    provider: Annotated[
        str | None, typer.Option(metavar="ID", help="Only offerings of this provider.")
    ] = None,
    max_price: Annotated[
        float | None,
        typer.Option(min=0, metavar="USD", help="Maximum price of a million input tokens."),
    ] = None,
    min_context: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Minimum context in tokens.")
    ] = None,
    folder: FolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """List all offerings, or those that match the options.

    Example: minikin catalog list --capability tools --max-price 0.2 --min-context 100000
    """
    catalog = _load(folder)
    matches = query.Filter(
        capability=capability or [],
        verified=verified,
        author=author,
        provider=provider,
        max_price=max_price,
        min_context=min_context,
    ).select(catalog)
    rows = [match.offering for match in matches]
    if as_json:
        print_json([query.as_json(catalog, row) for row in rows])
    else:
        _print_offerings(rows)


def _print_offerings(rows: Iterable[Record]) -> None:
    cells = (
        [
            row.id,
            numbers.tokens(row.value("context")),
            numbers.tokens(row.value("max_output")),
            numbers.price_pair(row),
        ]
        for row in rows
    )
    print_table(["OFFERING", "CONTEXT", "MAX OUTPUT", "$/M IN / OUT"], cells)


@catalog_app.command()
def search(
    words: Annotated[
        list[str], typer.Argument(metavar="WORD", help="A part of what to find, such as mini.")
    ],
    folder: FolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find models by parts of their id, name, family or author.

    Example: minikin catalog search openai mini
    """
    catalog = _load(folder)
    found = query.search(catalog, words)
    if as_json:
        print_json([query.as_json(catalog, row) for row in found])
        return
    rows = [
        [
            row.id,
            ", ".join(who.name for who in catalog.authors_of(row)) or numbers.UNKNOWN,
            row.value("release_date") or numbers.UNKNOWN,
            str(len(catalog.offerings_of(row))),
        ]
        for row in found
    ]
    print_table(["MODEL", "AUTHOR", "RELEASED", "OFFERINGS"], rows)


@catalog_app.command()
def show(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="An id, such as gpt-4.1-mini or openai.")
    ],
    folder: FolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a model, an offering (provider/model), a provider or an author.

    Example: minikin catalog show gpt-4.1-mini
    """
    catalog = _load(folder)
    record = query.named(catalog, name)
    if as_json:
        print_json(query.as_json(catalog, record))
        return
    out.print(Text(f"{record.name} ({record.kind} {record.id})", style="bold"))
    hidden = {*capabilities(), "name", "namespaces", "ranges", "price_tiers"}
    rows = (
        [field, _value(known[0].value), f"{known[0].source}, {known[0].date}"]
        for field, known in record.facts.items()
        if field not in hidden
    )
    print_table(["FIELD", "VALUE", "SOURCE"], rows)
    home = catalog.home(record) if record.kind == "model" else record
    if home is not None and home.kind == "offering":
        out.print(f"\nCapabilities according to {home.id}:", style="bold")
        _print_capabilities(catalog, home)
    if record.kind in ("model", "provider"):
        of = catalog.offerings_of if record.kind == "model" else catalog.offerings_at
        out.print()
        _print_offerings(of(record))
    if record.kind == "model" and (moving := catalog.snapshot_of(record)):
        out.print(f"\nA snapshot of {moving.id}, whose name moves between snapshots.")
    for row in catalog.stand_ins(record) if record.kind == "model" else ():
        out.print(f"\n{row.id} uses this name for another model.")
    out.print()
    print_conflicts({row.id: row for row in (record, home) if row is not None}.values())


def _value(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return ", ".join(map(str, value)) if isinstance(value, list) else f"{value}"


def _known(record: Record, field: str) -> str:
    return _value(record.value(field)) if field in record.facts else "unknown"


def _print_capabilities(catalog: Catalog, offering: Record) -> None:
    by_state: dict[BadgeState, list[str]] = {}
    for name, capability in capabilities().items():
        state = catalog.badge(offering, name)[0]
        if state != "unknown" or capability.group in ("core", "further"):
            by_state.setdefault(state, []).append(name)
    rows = ([state_text(state), ", ".join(names)] for state, names in by_state.items())
    print_table(["STATE", "CAPABILITIES"], rows)


@catalog_app.command()
def compare(
    one: Annotated[str, typer.Argument(metavar="ONE", help=_COMPARED)],
    other: Annotated[str, typer.Argument(metavar="OTHER", help=_COMPARED)],
    folder: FolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two models or offerings, field by field.

    Example: minikin catalog compare gpt-4.1-mini minikin/smollm2-135m-instruct
    """
    catalog = _load(folder)
    pair = [query.offering(catalog, name) for name in (one, other)]
    if as_json:
        print_json([query.as_json(catalog, row) for row in pair])
        return
    fields = ["context", "max_output", "price_input", "price_output", "price_cache_read"]
    models = [catalog.models[catalog.model_of(row)] for row in pair]
    rows: list[list[Text | str]] = [
        [field, *(_known(record, field) for record in records)]
        for records, names in ((models, ("parameters", "quality")), (pair, fields))
        for field in names
    ]
    for name in capabilities():
        states: list[BadgeState] = [catalog.badge(row, name)[0] for row in pair]
        if states != ["unknown", "unknown"]:
            rows.append([name, *(state_text(state) for state in states)])
    print_table(["", *(row.id for row in pair)], rows)
    out.print(_MEANING)
    for model in models:
        if found := model.facts.get("quality"):
            out.print(f"{model.id}: {found[0].value} ({found[0].source}, {found[0].date})")


@catalog_app.command()
def cost(
    model: Annotated[str, typer.Argument(metavar="NAME", help=_COMPARED)],
    input: Annotated[int, typer.Option(min=0, metavar="N", help="Tokens of the prompt.")] = 1000,
    output: Annotated[int, typer.Option(min=0, metavar="N", help="Tokens of the answer.")] = 500,
    cached: Annotated[
        int, typer.Option(min=0, metavar="N", help="Prompt tokens read from a cache.")
    ] = 0,
    cache_write: Annotated[
        int, typer.Option(min=0, metavar="N", help="Prompt tokens written to a cache.")
    ] = 0,
    reasoning: Annotated[
        int, typer.Option(min=0, metavar="N", help="Tokens of the answer that are reasoning.")
    ] = 0,
    batch: Annotated[bool, typer.Option("--batch", help="Use batch prices.")] = False,
    at: Annotated[
        datetime | None,
        typer.Option(help="The time of the call in UTC, for prices by the hour."),
    ] = None,
    folder: FolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the cost of a call at each provider, the cheapest first.

    Example: minikin catalog cost gpt-4.1-mini --input 20000 --output 800
    """
    if cached + cache_write > input or reasoning > output:
        raise SetupError(
            "--cached and --cache-write count tokens of --input, and --reasoning those of --output."
        )
    moment = at.replace(tzinfo=UTC) if at else None
    job = Job(input, output, cached, cache_write, reasoning, batch=batch, at=moment)
    catalog = _load(folder)
    record = query.named(catalog, model)
    rows = catalog.offerings_of(record) if record.kind == "model" else [record]
    quotes = [(quote(row, job), row.id) for row in rows if row.value("status") != "removed"]
    quotes.sort(key=lambda pair: (pair[0].usd is None, pair[0].usd or 0, pair[1]))
    if as_json:
        print_json([{"offering": id, "usd": q.usd, "reason": q.reason} for q, id in quotes])
        return
    print_table(
        ["OFFERING", "COST"],
        ([id, numbers.amount(q.usd) if q.usd is not None else q.reason] for q, id in quotes),
    )


@catalog_app.command()
def build(
    to: Annotated[
        Path,
        typer.Option("--out", metavar="FOLDER", help="Folder to write to.", file_okay=False),
    ],
    shields: Annotated[
        bool, typer.Option("--shields", help="Use badges from shields.io in the Markdown.")
    ] = False,
    folder: FolderOption = None,
) -> None:
    """Write the catalog as a site: Markdown in content/, HTML in html/.

    The same input and SOURCE_DATE_EPOCH give the same bytes.
    """
    start = time.monotonic()
    count = Site(_load(folder)).write(to, shields)
    took = time.monotonic() - start
    out.print(f"{count:,} pages in {took:.1f} s: {to / 'html' / 'index.html'}", soft_wrap=True)
