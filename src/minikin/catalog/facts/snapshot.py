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
from minikin.catalog.facts.files import write_whole
from minikin.catalog.facts.schema import KINDS, fields, is_id
from minikin.errors import SetupError

MAX_BYTES = 32 * 1024 * 1024
"""Maximum bytes of a data file after decompression."""

MOST_TOKENS = 20_000_000
"""No model has a larger context. The largest that a source confirms has 10 million tokens."""
LEAST_PRICE, MOST_PRICE = 0.0005, 10_000
"""US dollars per million tokens. A lower price is a mistake in the unit, and so is a higher one."""


class Entry(msgspec.Struct, frozen=True):
    """What the source says about one thing. Unknown fields are missing."""

    kind: str
    """One of KINDS, unless the file is of another version."""
    id: str
    fields: dict[str, Any]
    date: str | None = None
    """The day of these facts, if the source dates its entries."""


class Snapshot(msgspec.Struct, frozen=True):
    """`date` is the newest date in the data. `dropped` lists what was refused, with reasons."""

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
                    name: (Fact(value, Origin.IMPORT, source, entry.date or self.date),)
                    for name, value in entry.fields.items()
                },
            )
            for entry in self.entries
            if entry.kind in KINDS
        ]


def snapshot(source: str, version: str, date: str, raw: Iterable[Entry]) -> Snapshot:
    """Keep the valid values, sorted, the first of equal ids. List what was refused."""
    kept: dict[tuple[str, str], Entry] = {}
    refused: list[str] = []
    for entry in raw:
        what = f"{entry.kind} {str(entry.id)[:80]!r}"
        if fault := _entry_fault(entry, kept):
            refused.append(f"{what}: {fault}")
            continue
        faults = _value_faults(entry)
        refused += (f"{what}: {fault}" for fault in faults.values())
        left = {name: value for name, value in entry.fields.items() if name not in faults}
        kept[entry.kind, entry.id.lower()] = msgspec.structs.replace(entry, fields=left)
    return Snapshot(source, version, date, [kept[key] for key in sorted(kept)], sorted(refused))


def _entry_fault(entry: Entry, kept: dict[tuple[str, str], Entry]) -> str | None:
    if entry.kind not in KINDS or not is_id(entry.id, entry.kind):
        return "unknown kind or invalid id"
    return "duplicate id" if (entry.kind, entry.id.lower()) in kept else None


def _value_faults(entry: Entry) -> dict[str, str]:
    """What is wrong with each refused field. One false value says nothing about the others."""
    known = fields(entry.kind)
    faults: dict[str, str] = {}
    for name, value in entry.fields.items():
        if name not in known:
            faults[name] = f"unknown field {name[:80]!r}"
        elif known[name].fault(value) is not None:
            faults[name] = f"{name} must be {known[name].wanted}, but got {repr(value)[:40]}"
        elif reason := _absurd(name, value):
            faults[name] = f"{name} {value!r} is {reason}"
    sound = {name: value for name, value in entry.fields.items() if name not in faults}
    context, output = sound.get("context"), sound.get("max_output")
    if entry.kind == "offering" and context and output and output > context:
        faults["max_output"] = f"max_output {output} is above the context of {context}"
    if "price_input" in faults or "price_output" in faults:
        # The rest of a price list that is half wrong is not believed.
        rest = (name for name in sound if name.startswith("price_"))
        faults |= {name: f"{name} belongs to a price list that was refused" for name in rest}
    return faults


def _absurd(name: str, value: Any) -> str | None:
    """Why no offering can have this value."""
    if name in ("context", "max_input", "max_output") and value > MOST_TOKENS:
        return f"more than any model's {MOST_TOKENS:,} tokens"
    by_token = name.startswith("price_") and name not in ("price_image", "price_request")
    if by_token and isinstance(value, int | float):
        if 0 < value < LEAST_PRICE:
            return f"below ${LEAST_PRICE} per million tokens"
        if value > MOST_PRICE:
            return f"above ${MOST_PRICE:,} per million tokens"
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
    path = folder / f"{taken.source}.json"
    content = msgspec.json.format(msgspec.json.encode(taken, order="sorted"), indent=1)
    write_whole(path, content)
    return path


def load(path: Path) -> Snapshot:
    """Read a saved snapshot. Raises SetupError if it is not valid."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Snapshot)
    except (OSError, msgspec.DecodeError) as error:
        raise SetupError(
            f"{path} is not a valid catalog snapshot: {error}. Import it again."
        ) from None
    checked = snapshot(found.source, found.version, found.date, found.entries)
    return msgspec.structs.replace(checked, dropped=sorted({*found.dropped, *checked.dropped}))
