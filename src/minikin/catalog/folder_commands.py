"""`minikin catalog validate, import, update, diff, forget`: what is in the user's folder."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from minikin.catalog.facts import evidence as evidence_files
from minikin.catalog.facts import snapshot
from minikin.catalog.facts.fact import RecordKind
from minikin.catalog.facts.schema import KINDS
from minikin.catalog.facts.snapshot import Snapshot
from minikin.catalog.pages.site import build_time
from minikin.catalog.sources import catalog as catalogs
from minikin.catalog.sources import local, query
from minikin.catalog.sources import patches as findings
from minikin.catalog.sources import update as downloads
from minikin.catalog.tables import (
    FolderOption,
    JsonOption,
    errors,
    out,
    print_conflicts,
    print_json,
    print_table,
)
from minikin.errors import SetupError


def validate(folder: FolderOption = None) -> None:
    """Check your records. Every error has a file and a line.

    Example: minikin catalog validate --folder ./catalog
    """
    records = (folder or catalogs.user_folder()) / "records"
    own, problems = local.read_folder(records)
    if not problems:
        catalog = catalogs.load(folder)
        rows = (catalog.authors, catalog.models, catalog.providers, catalog.offerings)
        # An offering implies a model, its author and a provider. This does not make them known.
        described: dict[RecordKind, set[str]] = {
            kind: {key for key, row in known.items() if row.facts.keys() - {"authors"}}
            for kind, known in zip(KINDS, rows, strict=True)
        }
        problems = local.missing_references(own, described)
    for problem in problems:
        out.print(str(problem), soft_wrap=True)
    if problems:
        raise SetupError(f"{len(problems)} error(s) in {records}")
    out.print(f"{len(own)} records in {records} are valid.", soft_wrap=True)


def import_source(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="models-dev, genai-prices, or a JSON file of models.dev or LiteLLM.",
        ),
    ] = "models-dev",
    folder: FolderOption = None,
) -> None:
    """Pin a source's facts in your folder, so that an upgrade of its package changes nothing.

    Nothing is downloaded. The facts come from the installed package or from the file.
    """
    home = folder or catalogs.user_folder()
    taken = catalogs.take(source, home)
    path = snapshot.save(taken, home / "imports")
    for reason in taken.dropped:
        errors.print(f"refused {reason}", soft_wrap=True)
    counted = f"{len(taken.entries)} records, {len(taken.dropped)} refused"
    out.print(f"{counted}: {path}", soft_wrap=True)


def update(
    file: Annotated[
        Path | None,
        typer.Option("--file", metavar="FILE", help="Also a JSON file of models.dev or LiteLLM."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the changes, and write nothing.")
    ] = False,
    folder: FolderOption = None,
) -> None:
    """Download the newest data of the sources by pip, and pin it in your folder.

    Example: minikin catalog update --dry-run
    """
    home = folder or catalogs.user_folder()
    before = {"models-dev": catalogs.take("models-dev", home)} | catalogs.pins(home)
    fresh: list[Snapshot] = []
    for taken in downloads.download(downloads.PACKAGES):
        if isinstance(taken, SetupError):
            errors.print(str(taken), style="yellow", soft_wrap=True)
        else:
            fresh.append(taken)
    fresh += [catalogs.take(str(file), home)] if file else []
    if not fresh:
        raise SetupError("No source could be downloaded. Nothing is changed.")
    rows = [_updated(taken, before.get(taken.source), home, dry_run) for taken in fresh]
    print_table(["SOURCE", "VERSION", "DATA OF", "RECORDS", "REFUSED", "CHANGES"], rows)
    second = catalogs.take("genai-prices", home)
    out.print(
        f"genai-prices {second.version} is the installed package, with data of {second.date}."
    )


def _updated(taken: Snapshot, old: Snapshot | None, home: Path, dry_run: bool) -> list[str]:
    """Keep a snapshot unless the one that is there is newer. Returns a row for the report."""
    row = [taken.source, taken.version, taken.date, f"{len(taken.entries):,}"]
    if old and old.date > taken.date:
        return [*row, f"{len(taken.dropped):,}", f"kept the newer data of {old.date}"]
    changed = Counter(change["change"] for change in query.changes(old, taken)) if old else {}
    counted = ", ".join(f"{count:,} {name}" for name, count in sorted(changed.items()))
    if not dry_run:
        snapshot.save(taken, home / "imports")
    return [*row, f"{len(taken.dropped):,}", counted or ("no change" if old else "new")]


def diff(folder: FolderOption = None, as_json: JsonOption = False) -> None:
    """Show what an import would change, and where sources contradict each other."""
    home = folder or catalogs.user_folder()
    found: list[dict[str, Any]] = []
    for path in sorted((home / "imports").glob("*.json")):
        if path.stem in catalogs.SOURCES:
            found += query.changes(snapshot.load(path), catalogs.take(path.stem, home))
    catalog = catalogs.load(folder, build_time())
    differ = [row for row in catalog.offerings.values() if row.conflicts()]
    if as_json:
        conflicts = {row.id: query.conflicts(row) for row in differ}
        print_json({"changes": found, "conflicts": conflicts})
        return
    rows = [
        [r["change"], r["id"], r.get("field", ""), f"{r.get('was', '')}", f"{r.get('now', '')}"]
        for r in found
    ]
    print_table(["CHANGE", "RECORD", "FIELD", "WAS", "NOW"], rows)
    out.print(f"{len(found)} changes to the pinned facts.\n")
    print_conflicts(differ)
    out.print(f"Sources differ on {len(differ)} offerings.")


def patches(
    checkout: Annotated[
        Path, typer.Argument(metavar="CHECKOUT", help="A checkout of models.dev's repository.")
    ],
    folder: FolderOption = None,
) -> None:
    """Print what probes found as patches to the files of models.dev, with their reasons.

    Example: minikin catalog patches ../models.dev > findings.patch
    """
    found = list(findings.patches(catalogs.load(folder, build_time()), checkout))
    for patch in found:
        typer.echo(patch)
    errors.print(f"{len(found)} files of {checkout} differ from what probes found.", soft_wrap=True)


def forget(
    offering: Annotated[str, typer.Argument(metavar="OFFERING", help="Its id: provider/model.")],
    folder: FolderOption = None,
) -> None:
    """Remove your evidence for an offering.

    Example: minikin catalog forget 127.0.0.1-8000/gpt-4.1-mini
    """
    home = folder or catalogs.user_folder()
    found = [
        path
        for path in sorted((home / "evidence").rglob("*.json"))
        if evidence_files.read(path).offering.lower() == offering.lower()
    ]
    if not found:
        raise SetupError(f"{home / 'evidence'} has no evidence for {offering!r}.")
    for path in found:
        evidence_files.bodies_path(path).unlink(missing_ok=True)
        path.unlink()
        out.print(f"Removed {path}", soft_wrap=True)
