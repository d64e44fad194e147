"""Imported facts of one source at one date: checked, sorted and reproducible."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from minikin.catalog.facts.fact import Fact, Origin, Record
from minikin.catalog.facts.schema import KINDS, fields, is_id
from minikin.errors import SetupError

MAX_BYTES = 32 * 1024 * 1024
"""Maximum bytes of a data file after decompression."""


class Entry(msgspec.Struct, frozen=True):
    """What the source says about one thing. Unknown fields are missing."""

    kind: str
    """One of KINDS, unless the file is of another version."""
    id: str
    fields: dict[str, Any]


class Snapshot(msgspec.Struct, frozen=True):
    """`date` is the newest date in the data. `dropped` lists rejected entries with reasons."""

    source: str
    version: str
    date: str
    entries: list[Entry]
    dropped: list[str] = []

    def records(self) -> list[Record]:
        """The entries as records. Every fact names this source."""
        source = f"{self.source} {self.version}"
        return [
            Record(
                entry.kind,
                entry.id,
                {
                    name: (Fact(value, Origin.IMPORT, source, self.date),)
                    for name, value in entry.fields.items()
                },
            )
            for entry in self.entries
            if entry.kind in KINDS
        ]


def snapshot(source: str, version: str, date: str, raw: Iterable[Entry]) -> Snapshot:
    """Keep the valid entries, sorted, the first of equal ids. List the others."""
    kept: dict[tuple[str, str], Entry] = {}
    dropped: list[str] = []
    for entry in raw:
        fault = _fault(entry, kept)
        if fault:
            dropped.append(f"{entry.kind} {str(entry.id)[:80]!r}: {fault}")
        else:
            kept[entry.kind, entry.id.lower()] = entry
    return Snapshot(source, version, date, [kept[key] for key in sorted(kept)], sorted(dropped))


def _fault(entry: Entry, kept: dict[tuple[str, str], Entry]) -> str | None:
    if entry.kind not in KINDS or not is_id(entry.id, entry.kind):
        return "unknown kind or invalid id"
    if (entry.kind, entry.id.lower()) in kept:
        return "duplicate id"
    for name, value in entry.fields.items():
        wanted = fields(entry.kind).get(name)
        if wanted is None:
            return f"unknown field {name[:80]!r}"
        if wanted.fault(value) is not None:
            return f"{name} must be {wanted.wanted}, but got {repr(value)[:40]}"
    return None


def read_json(path: Path) -> Any:
    """The JSON of a data file, possibly gzipped. Raises SetupError if too large or not JSON."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise SetupError(f"{path} has more than {MAX_BYTES} bytes")
        return json.loads(data)
    except (OSError, EOFError, ValueError, RecursionError) as error:
        raise SetupError(f"Cannot read {path}: {error}") from None


def saved_on(path: Path) -> str:
    """The day (ISO, UTC) of the last change of a file."""
    return f"{datetime.fromtimestamp(path.stat().st_mtime, UTC):%Y-%m-%d}"


def save(taken: Snapshot, folder: Path) -> Path:
    """Write `<folder>/<source>.json` atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{taken.source}.json"
    draft = path.with_suffix(".new")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(taken, order="sorted"), indent=1))
    draft.replace(path)
    return path


def load(path: Path) -> Snapshot:
    """Read a saved snapshot. Raises SetupError if it is not valid."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Snapshot)
    except (OSError, msgspec.DecodeError) as error:
        raise SetupError(
            f"{path} is not a valid catalog snapshot: {error}. Import it again."
        ) from None
    return snapshot(found.source, found.version, found.date, found.entries)
