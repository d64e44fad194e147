"""One value with its source and date. A record contains what every source says about one thing.

A value has three states. *Known*: a fact with a value. *Absent*: a fact whose value is `None` or
`False`: a source says that it does not exist. *Unknown*: no fact. Unknown is never "no".
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Any, Literal

import msgspec

State = Literal["known", "absent", "unknown"]
RecordKind = Literal["author", "model", "provider", "offering"]


_CHANGING = ("price_", "billing", "status")
"""Fields whose newest value counts."""


class Origin(IntEnum):
    """The origin of a fact. A lower value has priority."""

    PROBE = 0
    LOCAL = 1
    IMPORT = 2


class Fact(msgspec.Struct, frozen=True):
    """A value with its source, and the date (ISO) until which the source confirms it."""

    value: Any
    origin: Origin
    source: str
    date: str


class Record(msgspec.Struct):
    """An author, model, provider or offering. `facts[field]` has one fact per source, best first.

    An offering's id is `provider/provider's own model id`. The model id can contain slashes.
    """

    kind: RecordKind
    id: str
    facts: dict[str, tuple[Fact, ...]]

    def value(self, field: str) -> Any:
        """The best source's value. `None` if it is absent or unknown."""
        facts = self.facts.get(field)
        return facts[0].value if facts else None

    def state(self, field: str) -> State:
        """Whether the field is known, known to be absent, or unknown."""
        facts = self.facts.get(field)
        if not facts:
            return "unknown"
        return "absent" if facts[0].value is None or facts[0].value is False else "known"

    def conflicts(self) -> dict[str, tuple[Fact, ...]]:
        """Fields on which sources differ, with one fact for each distinct value, best first."""
        distinct = {name: _distinct(facts) for name, facts in self.facts.items() if len(facts) > 1}
        return {name: facts for name, facts in distinct.items() if len(facts) > 1}

    @property
    def name(self) -> str:
        """The name to show: the record's name, or its id."""
        return self.value("name") or self.id


def merge(records: Iterable[Record]) -> dict[str, Record]:
    """Join records of one kind by id, ignoring case. In each field, the lower origin has priority.

    Among equal origins, the first one has priority. Prices and the status change, so the newest
    import has priority there. A source that says several things about a field counts once.
    """
    merged: dict[str, Record] = {}
    for record in records:
        known = merged.get(record.id.lower())
        if known is None:
            merged[record.id.lower()] = Record(record.kind, record.id, dict(record.facts))
            continue
        for name, facts in record.facts.items():
            known.facts[name] = _ranked(name, known.facts.get(name, ()) + facts)
    return merged


def _ranked(field: str, facts: tuple[Fact, ...]) -> tuple[Fact, ...]:
    """The facts of a field, best first, one for each source and origin."""
    if field.startswith(_CHANGING):
        facts = tuple(sorted(facts, key=lambda fact: fact.date, reverse=True))
    first: dict[tuple[Origin, str], Fact] = {}
    for fact in facts:
        first.setdefault((fact.origin, fact.source), fact)
    return tuple(sorted(first.values(), key=lambda fact: fact.origin))


def _distinct(facts: tuple[Fact, ...]) -> tuple[Fact, ...]:
    seen: list[Any] = []
    kept: list[Fact] = []
    for fact in facts:
        value = sorted(fact.value, key=repr) if isinstance(fact.value, list) else fact.value
        if value not in seen:
            seen.append(value)
            kept.append(fact)
    return tuple(kept)
