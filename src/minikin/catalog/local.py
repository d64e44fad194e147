"""Hand-written records: YAML files of one or more documents, each one record.

    kind: model
    id: SmolLM2-135M-Instruct
    source: https://huggingface.co/...      # for every field of the record
    date: 2026-11-23
    parameters: 134515008                   # known
    knowledge_cutoff: null                  # known to be absent; a field left out is unknown
    license: {value: Apache-2.0, source: ..., date: ...}    # a field with a source of its own

Every complaint names the file and the line.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import yaml

from minikin.catalog.fact import Fact, Origin, Record
from minikin.catalog.schema import DATE, KINDS, TEXT, fields, is_id
from minikin.errors import SetupError

MAX_FILE = 4 * 1024 * 1024
"""Bytes of one file of records."""

_REFERENCES = {"model": "model", "authors": "author", "provider": "provider"}
_ID_RULE = "an id (for an offering, provider/model) of letters, digits and ._-:/+@~()"
_HEAD = ("kind", "id", "source", "date")


class Problem(NamedTuple):
    """What is wrong and where; `line` counts from 1."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


class Line(NamedTuple):
    """A value and the line it stands on."""

    value: Any
    line: int


class LocalRecord(NamedTuple):
    """A record, and where each of its fields stands."""

    record: Record
    path: Path
    lines: dict[str, int]


def read_folder(folder: Path) -> tuple[list[LocalRecord], list[Problem]]:
    """Every record of the YAML files under `folder`, in path order, and every problem found."""
    records: list[LocalRecord] = []
    problems: list[Problem] = []
    for path in sorted(folder.rglob("*.yaml")):
        for document in _documents(path, problems):
            record = _record(path, document, problems)
            if record is not None:
                records.append(record)
    problems += _duplicates(records)
    return records, problems


def load_folder(folder: Path) -> list[Record]:
    """The records under `folder`. Raises SetupError when one of them can't be used."""
    records, problems = read_folder(folder)
    if problems:
        listed = "\n".join(str(problem) for problem in problems[:5])
        raise SetupError(f"{len(problems)} problem(s) in the catalog's local records:\n{listed}")
    return [local.record for local in records]


def missing_references(records: list[LocalRecord], known: dict[str, set[str]]) -> list[Problem]:
    """Problems for references to records that aren't there; `known[kind]` holds lower-case ids."""
    problems: list[Problem] = []
    for local in records:
        for field, kind in _REFERENCES.items():
            value = local.record.value(field)
            for target in value if isinstance(value, list) else [value] if value else []:
                if target.lower() not in known[kind]:
                    line = local.lines[field]
                    problems.append(Problem(local.path, line, f"no {kind} has the id {target!r}"))
        provider = local.record.id.split("/")[0]
        if local.record.kind == "offering" and provider.lower() not in known["provider"]:
            line = local.lines["id"]
            problems.append(Problem(local.path, line, f"no provider has the id {provider!r}"))
    return problems


def _documents(path: Path, problems: list[Problem]) -> Iterator[dict[str, Line]]:
    if path.stat().st_size > MAX_FILE:
        problems.append(Problem(path, 1, f"the file is larger than {MAX_FILE} bytes"))
        return
    data = path.read_bytes()
    try:
        loader = yaml.SafeLoader(data)
        while loader.check_node():
            node = loader.get_node()
            assert node is not None  # check_node says that there is one
            try:
                value = _plain(loader, node)
            except yaml.MarkedYAMLError as error:
                problems.append(_yaml_problem(path, data, error))
                continue
            if isinstance(value, dict):
                yield value
            elif value is not None:
                problems.append(Problem(path, node.start_mark.line + 1, "must be a map of fields"))
    except yaml.YAMLError as error:
        problems.append(_yaml_problem(path, data, error))
    except RecursionError:
        problems.append(Problem(path, 1, "values are nested too deeply"))


def _yaml_problem(path: Path, data: bytes, error: yaml.YAMLError) -> Problem:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return Problem(path, error.problem_mark.line + 1, error.problem or "not YAML")
    # What the reader refuses (bytes that are no text) has a position in place of a mark.
    line = data.count(b"\n", 0, getattr(error, "position", 0)) + 1
    return Problem(path, line, getattr(error, "reason", "not YAML"))


def _plain(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    """The document as Python values; the top map's values carry their lines.

    Raises MarkedYAMLError for a field given twice, a date that isn't one, or a YAML alias: a few
    nested ones can stand for gigabytes, and no record needs them.
    """
    seen: set[int] = set()

    def refuse(node: yaml.Node, message: str) -> NoReturn:
        raise yaml.MarkedYAMLError(problem=message, problem_mark=node.start_mark)

    def walk(node: yaml.Node, depth: int) -> Any:
        if id(node) in seen:
            refuse(node, "YAML aliases are not allowed")
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            return [walk(item, depth + 1) for item in node.value]
        if not isinstance(node, yaml.MappingNode):
            try:
                value = loader.construct_object(node)
            except ValueError as error:
                refuse(node, str(error))
            return value.isoformat() if hasattr(value, "isoformat") else value
        found: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = str(loader.construct_object(key_node))
            if key in found:
                refuse(key_node, f"{key} is given twice")
            value = walk(value_node, depth + 1)
            found[key] = value if depth else Line(value, key_node.start_mark.line + 1)
        return found

    return walk(node, 0)


def _record(path: Path, document: dict[str, Line], problems: list[Problem]) -> LocalRecord | None:
    before = len(problems)
    first = min(line for _, line in document.values()) if document else 1
    head = {name: document.get(name, Line(None, first)) for name in _HEAD}
    _check_head(path, head, problems)
    if len(problems) > before:
        return None
    kind = head["kind"].value
    record = Record(kind, head["id"].value, {})
    for name, (value, line) in document.items():
        if name in _HEAD:
            continue
        wanted = fields(kind).get(name)
        if wanted is None:
            problems.append(Problem(path, line, f"{kind} records have no field {name!r}"))
            continue
        own = value if isinstance(value, dict) and "value" in value else {"value": value}
        source, date = (own.get(part, head[part].value) for part in ("source", "date"))
        if own["value"] is not None and not wanted.accepts(own["value"]):
            shown = repr(own["value"])[:60]
            message = f"{record.id}: {name} must be {wanted.wanted}, but got {shown}"
            problems.append(Problem(path, line, message))
        elif not TEXT.accepts(source) or not DATE.accepts(date) or not own.keys() <= _OWN:
            message = f"{record.id}: {name} must have a value, a source (text) and a date"
            problems.append(Problem(path, line, message))
        record.facts[name] = (Fact(own["value"], Origin.LOCAL, source, date),)
    lines = {name: line for name, (_, line) in document.items()}
    return LocalRecord(record, path, lines) if len(problems) == before else None


_OWN = {"value", "source", "date"}


def _check_head(path: Path, head: dict[str, Line], problems: list[Problem]) -> None:
    checks = {
        "kind": (lambda value: value in KINDS, f"one of {', '.join(KINDS)}"),
        "id": (lambda value: is_id(value, head["kind"].value), _ID_RULE),
        "source": (TEXT.accepts, TEXT.wanted),
        "date": (DATE.accepts, DATE.wanted),
    }
    for name, (accepts, wanted) in checks.items():
        value, line = head[name]
        if not accepts(value):
            got = "is missing" if value is None else f"got {value!r:.60}"
            problems.append(Problem(path, line, f"{name} must be {wanted}, but {got}"))


def _duplicates(records: list[LocalRecord]) -> Iterator[Problem]:
    first: dict[tuple[str, str], LocalRecord] = {}
    for local in records:
        key = (local.record.kind, local.record.id.lower())
        if key in first:
            known = first[key]
            where = f"{known.path.name}:{known.lines['id']}"
            message = f"the {key[0]} {local.record.id!r} is already at {where}"
            yield Problem(local.path, local.lines["id"], message)
        first.setdefault(key, local)
