"""Queries to the catalog: filters, search, changes, and records as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, NamedTuple

import msgspec

from minikin.catalog.facts.fact import Fact, Record
from minikin.catalog.facts.prices import Job, cost
from minikin.catalog.facts.schema import capabilities
from minikin.catalog.facts.snapshot import Snapshot
from minikin.catalog.sources.catalog import Catalog
from minikin.errors import InvalidRequest, NotFound

_Tokens = Annotated[int, msgspec.Meta(ge=0, lt=10**9)]
_Name = Annotated[str, msgspec.Meta(max_length=160)]


class Match(NamedTuple):
    """An offering that a filter selects, with the cost of the job in US dollars if there is one."""

    offering: Record
    usd: float | None = None


class Filter(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Conditions for an offering. Prices are in US dollars per million input tokens.

    `verified` without a capability means any of them. An offering with an unknown price or context
    does not match a limit on it. `input_tokens` and `output_tokens` are those of a job: an offering
    without a price for it, or that it does not fit, does not match.
    """

    capability: list[_Name] = []
    verified: bool = False
    author: _Name | None = None
    provider: _Name | None = None
    max_price: Annotated[float, msgspec.Meta(ge=0)] | None = None
    min_context: Annotated[int, msgspec.Meta(ge=1)] | None = None
    input_tokens: _Tokens | None = None
    output_tokens: _Tokens | None = None

    @property
    def job(self) -> Job | None:
        """The job to price, if there is one."""
        if self.input_tokens is None and self.output_tokens is None:
            return None
        return Job(self.input_tokens or 0, self.output_tokens or 0)

    def select(self, catalog: Catalog) -> list[Match]:
        """The matching offerings by id, or those that do a job, the cheapest first.

        Raises InvalidRequest for an unknown capability.
        """
        for name in self.capability:
            if name not in capabilities():
                known = ", ".join(capabilities())
                raise InvalidRequest(
                    f"There is no capability {name!r}. Capabilities: {known}.", param="capability"
                )
        rows = [row for row in catalog.offerings.values() if self._passes(catalog, row)]
        if self.job is None:
            return [Match(row) for row in rows]
        quotes = [(cost(row, self.job).usd, row) for row in rows]
        found = [Match(row, usd) for usd, row in quotes if usd is not None]
        return sorted(found, key=lambda match: match.usd or 0.0)

    def _passes(self, catalog: Catalog, row: Record) -> bool:
        if self.verified and not self.capability and not _is_verified(catalog, row):
            return False
        enough = ("verified",) if self.verified else ("verified", "declared", "stale")
        price, context = row.value("price_input"), row.value("context")
        model = catalog.models[catalog.model_of(row)]
        return (
            (self.provider is None or row.id.split("/")[0].lower() == self.provider.lower())
            and (self.max_price is None or (price is not None and price <= self.max_price))
            and (self.min_context is None or (context or 0) >= self.min_context)
            and (self.author is None or self.author.lower() in _ids(catalog.authors_of(model)))
            and all(catalog.badge(row, name)[0] in enough for name in self.capability)
        )


class Question(Filter, kw_only=True, forbid_unknown_fields=True):
    """The query string of /catalog/offerings."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 100
    offset: Annotated[int, msgspec.Meta(ge=0)] = 0


def _is_verified(catalog: Catalog, row: Record) -> bool:
    """Whether a probe verified a capability of it, and not too long ago."""
    found = catalog.evidence.get(row.id.lower())
    results = found.results if found else ()
    return any(catalog.badge(row, result.capability)[0] == "verified" for result in results)


def _ids(records: Iterable[Record]) -> set[str]:
    return {record.id.lower() for record in records}


def search(catalog: Catalog, words: Iterable[str]) -> list[Record]:
    """Models whose id, name, family or author contains every word, ignoring case."""
    wanted = [word.lower() for word in words]
    found: list[Record] = []
    for model in catalog.models.values():
        authors = " ".join(f"{author.id} {author.name}" for author in catalog.authors_of(model))
        text = f"{model.id} {model.name} {model.value('family')} {authors}".lower()
        if all(word in text for word in wanted):
            found.append(model)
    return found


def named(catalog: Catalog, name: str) -> Record:
    """The offering, model, provider or author with this id. Raises NotFound."""
    for known in (catalog.offerings, catalog.models, catalog.providers, catalog.authors):
        if name.lower() in known:
            return known[name.lower()]
    return catalog.model(name)


def offering(catalog: Catalog, name: str) -> Record:
    """The offering with this id, or the one that represents the model. Raises NotFound."""
    record = named(catalog, name)
    home = catalog.home(record) if record.kind == "model" else record
    if home is None or home.kind != "offering":
        raise NotFound(f"{name} is not an offering, and has no known offerings.")
    return home


def as_json(catalog: Catalog, record: Record) -> dict[str, Any]:
    """A record with the state, source and date of every field, and its contradictions."""
    found: dict[str, Any] = {"kind": record.kind, "id": record.id, "name": record.name}
    found["fields"] = {
        name: {"state": record.state(name)} | _said(known[0])
        for name, known in sorted(record.facts.items())
        if name not in capabilities()
    }
    found["conflicts"] = conflicts(record)
    if record.kind == "offering":
        found["model"] = catalog.model_of(record)
        found["capabilities"] = {
            name: {"state": catalog.badge(record, name)[0]}
            | (_said(record.facts[name][0]) if name in record.facts else {})
            | ({"not_observable": capability.unobservable} if capability.unobservable else {})
            for name, capability in capabilities().items()
        }
    if record.kind == "model":
        found["offerings"] = [row.id for row in catalog.offerings_of(record)]
    return found


def conflicts(record: Record) -> dict[str, list[dict[str, Any]]]:
    """Fields on which sources differ, with each value, the trusted one first."""
    return {name: list(map(_said, facts)) for name, facts in record.conflicts().items()}


def _said(fact: Fact) -> dict[str, Any]:
    return {"value": fact.value, "source": fact.source, "date": fact.date}


def changes(old: Snapshot, new: Snapshot) -> list[dict[str, Any]]:
    """The changes from `old` to `new`: added or removed entries, changed fields."""
    before, after = (
        {(entry.kind, entry.id): entry.fields for entry in taken.entries} for taken in (old, new)
    )
    found: list[dict[str, Any]] = []
    for kind, id in sorted(before.keys() | after.keys()):
        was, now = before.get((kind, id)), after.get((kind, id))
        row = {"kind": kind, "id": id}
        if was is None or now is None:
            found.append(row | {"change": "added" if was is None else "removed"})
            continue
        for field in sorted(was.keys() | now.keys()):
            pair = {"was": was.get(field), "now": now.get(field)}
            if pair["was"] != pair["now"]:
                found.append(row | {"change": "changed", "field": field} | pair)
    return found
