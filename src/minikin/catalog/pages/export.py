"""The whole catalog as one JSON file for programs, and its JSON Schema.

A missing field is unknown. `null` and `false` are known to be absent.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType, defstruct

from minikin.catalog.facts.evidence import stamp
from minikin.catalog.facts.fact import Record, RecordKind
from minikin.catalog.facts.schema import capabilities, fields
from minikin.catalog.sources.catalog import Catalog

_KINDS: tuple[tuple[str, RecordKind], ...] = (
    ("authors", "author"),
    ("models", "model"),
    ("providers", "provider"),
    ("offerings", "offering"),
)
_encode = msgspec.json.Encoder(order="sorted").encode


def api(catalog: Catalog) -> bytes:
    """Every record by id, with the trusted value of each field, and the probed capabilities.

    Before them, what each capability means, and why no probe can observe it if none can.
    """
    # Row by row, because no other thread runs during one call of the encoder.
    parts = [
        f'"{plural}":{{'.encode()
        + b",".join(
            _encode(row.id) + b":" + _encode(_values(catalog, row, kind))
            for row in getattr(catalog, plural).values()
        )
        + b"}"
        for plural, kind in _KINDS
    ]
    head = f'{{"generated":"{stamp(catalog.now)}","capabilities":'.encode() + _encode(_meanings())
    return b",".join([head, *parts]) + b"}\n"


class _Capability(msgspec.Struct, omit_defaults=True):
    """What a capability means. `not_observable` is the reason why no probe can observe it."""

    meaning: str
    not_observable: str | UnsetType = UNSET


def _meanings() -> dict[str, _Capability]:
    return {
        name: _Capability(capability.meaning, capability.unobservable or UNSET)
        for name, capability in capabilities().items()
    }


def _values(catalog: Catalog, record: Record, kind: RecordKind) -> dict[str, Any]:
    found = {name: known[0].value for name, known in record.facts.items()}
    if kind == "model":
        found["authors"] = [author.id for author in catalog.authors_of(record)]
    if kind == "offering":
        found["model"] = catalog.models[catalog.model_of(record)].id
        evidence = catalog.evidence.get(record.id.lower())
        if evidence:
            found["probed"] = {
                result.capability: catalog.badge(record, result.capability)[0]
                for result in evidence.results
            }
    return found


@cache
def schema() -> bytes:
    """The JSON Schema of `api`."""
    shape = defstruct(
        "Catalog",
        [
            ("generated", str),
            ("capabilities", dict[str, _Capability]),
            *((plural, dict[str, _shape(kind)]) for plural, kind in _KINDS),
        ],
    )
    described = msgspec.json.schema(shape)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Model catalog"}
    return msgspec.json.format(_encode(head | described), indent=1) + b"\n"


def _shape(kind: RecordKind) -> Any:
    """The struct of a kind of record. Every field can be missing, or null."""
    rows = [(name, known.type | None | UnsetType, UNSET) for name, known in fields(kind).items()]
    if kind == "offering":
        states = dict[str, str] | UnsetType
        rows.append(("probed", states, UNSET))
    return defstruct(kind.title(), rows)
