"""Hand-written records: YAML files with one or more documents. Each document is one record.

    kind: model
    id: SmolLM2-135M-Instruct
    source: https://huggingface.co/...      # for every field of the record
    date: 2026-11-23
    parameters: 134515008                   # known
    knowledge_cutoff: null                  # known to be absent; a missing field is unknown
    license: {value: Apache-2.0, source: ..., date: ...}    # a field with its own source

Every error message has the file and the line.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import yaml

from minikin.catalog.facts.fact import Fact, Origin, Record, RecordKind
from minikin.catalog.facts.schema import DATE, KINDS, TEXT, fields, is_id
from minikin.errors import SetupError

MAX_FILE = 4 * 1024 * 1024
"""Maximum bytes of one file of records."""

_REFERENCES: dict[str, RecordKind] = {"model": "model", "authors": "author", "provider": "provider"}
_HEAD = {
    "kind": f"one of {', '.join(KINDS)}",
    "id": "an id (for an offering, provider/model) of letters, digits and ._-:/+@~()",
    "source": TEXT.wanted,
    "date": DATE.wanted,
}
"""The fields that every record needs, and their descriptions."""


class Problem(NamedTuple):
    """An error and its place. `line` counts from 1."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


class LocalRecord(NamedTuple):
    """A record, and the line of each of its parts by path, such as `$.id`."""

    record: Record
    path: Path
    lines: dict[str, int]

    def problem(self, where: str, message: str) -> Problem:
        """A problem at a part."""
        return Problem(self.path, self.lines[where], message)


def read_folder(folder: Path) -> tuple[list[LocalRecord], list[Problem]]:
    """Every record of the YAML files in `folder`, in path order, and every problem."""
    records: list[LocalRecord] = []
    problems: list[Problem] = []
    for path in sorted(folder.rglob("*.yaml")):
        for document, lines in _documents(path, problems):
            found = list(_head_problems(path, lines, document))
            if not found:
                local = LocalRecord(Record(document["kind"], document["id"], {}), path, lines)
                found = list(_fill(local, document))
                if not found:
                    records.append(local)
            problems += found
    problems += _duplicates(records)
    return records, problems


def load_folder(folder: Path) -> list[Record]:
    """The records in `folder`. Raises SetupError if one of them is not valid."""
    records, problems = read_folder(folder)
    if problems:
        listed = "\n".join(str(problem) for problem in problems[:5])
        raise SetupError(f"{len(problems)} error(s) in the catalog's local records:\n{listed}")
    return [local.record for local in records]


def missing_references(
    records: list[LocalRecord], known: dict[RecordKind, set[str]]
) -> list[Problem]:
    """Problems for references to missing records. `known[kind]` contains lower-case ids."""
    problems: list[Problem] = []
    for local in records:
        record = local.record
        made: list[tuple[str, RecordKind, str]] = []
        for field, kind in _REFERENCES.items():
            value = record.value(field)
            targets = value if isinstance(value, list) else [value] if value else []
            made.extend((field, kind, target) for target in targets)
        if record.kind == "offering":
            made.append(("id", "provider", record.id.split("/")[0]))
        problems += [
            local.problem(f"$.{field}", f"no {kind} has the id {target!r}")
            for field, kind, target in made
            if target.lower() not in known[kind]
        ]
    return problems


def _documents(
    path: Path, problems: list[Problem]
) -> Iterator[tuple[dict[str, Any], dict[str, int]]]:
    """Each document of a file, and the line of each of its parts."""
    if path.stat().st_size > MAX_FILE:
        problems.append(Problem(path, 1, f"the file is larger than {MAX_FILE} bytes"))
        return
    data = path.read_bytes()
    try:
        loader = yaml.SafeLoader(data)
        while loader.check_node():
            node = loader.get_node()
            assert node is not None  # check_node guarantees a node
            lines: dict[str, int] = {}
            try:
                value = _plain(loader, node, lines)
            except yaml.MarkedYAMLError as error:
                problems.append(_yaml_problem(path, data, error))
                continue
            if isinstance(value, dict):
                yield value, lines
            elif value is not None:
                problems.append(Problem(path, lines["$"], "must be a map of fields"))
    except yaml.YAMLError as error:
        problems.append(_yaml_problem(path, data, error))
    except RecursionError:
        problems.append(Problem(path, 1, "values are nested too deeply"))


def _yaml_problem(path: Path, data: bytes, error: yaml.YAMLError) -> Problem:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return Problem(path, error.problem_mark.line + 1, error.problem or "not YAML")
    # For bytes that are not text, the reader gives a position instead of a mark.
    line = data.count(b"\n", 0, getattr(error, "position", 0)) + 1
    return Problem(path, line, getattr(error, "reason", "not YAML"))


def _plain(loader: yaml.SafeLoader, node: yaml.Node, lines: dict[str, int]) -> Any:
    """The node as a Python value. `lines` gets the line of each of its parts.

    Raises MarkedYAMLError for a duplicate field, an invalid date, or a YAML alias. A few nested
    aliases can expand to gigabytes, and records do not need them.
    """
    seen: set[int] = set()

    def refuse(node: yaml.Node, message: str) -> NoReturn:
        raise yaml.MarkedYAMLError(problem=message, problem_mark=node.start_mark)

    def walk(node: yaml.Node, where: str) -> Any:
        if id(node) in seen:
            refuse(node, "YAML aliases are not allowed")
        seen.add(id(node))
        lines.setdefault(where, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            return [walk(item, f"{where}[{index}]") for index, item in enumerate(node.value)]
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
                refuse(key_node, f"{key} occurs twice")
            lines[f"{where}.{key}"] = key_node.start_mark.line + 1
            found[key] = walk(value_node, f"{where}.{key}")
        return found

    return walk(node, "$")


def _fill(local: LocalRecord, document: dict[str, Any]) -> Iterator[Problem]:
    """Fill the record from the document. Yields the problems."""
    record = local.record
    for name in (name for name in document if name not in _HEAD):
        wanted = fields(record.kind).get(name)
        if wanted is None:
            yield local.problem(f"$.{name}", f"{record.kind} records have no field {name!r}")
            continue
        where, own = f"$.{name}", document[name]
        if isinstance(own, dict) and "value" in own:
            yield from _own_problems(local, name, own)
            where += ".value"
        else:
            own = {"value": own}
        value = own["value"]
        if value is not None and (step := wanted.fault(value)) is not None:
            message = f"{record.id}: {name} must be {wanted.wanted}, but got {value!r:.60}"
            yield local.problem(where + step, message)
        source, date = (own.get(part, document[part]) for part in ("source", "date"))
        record.facts[name] = (Fact(value, Origin.LOCAL, source, date),)


def _head_problems(
    path: Path, lines: dict[str, int], document: dict[str, Any]
) -> Iterator[Problem]:
    kind: Any = document.get("kind")
    good = {
        "kind": kind in KINDS,
        "id": is_id(document.get("id"), kind),
        "source": TEXT.fault(document.get("source")) is None,
        "date": DATE.fault(document.get("date")) is None,
    }
    for name, wanted in _HEAD.items():
        if not good[name]:
            value = document.get(name)
            got = "is missing" if value is None else f"got {value!r:.60}"
            where = f"$.{name}" if name in document else "$"
            yield Problem(path, lines[where], f"{name} must be {wanted}, but {got}")


def _own_problems(local: LocalRecord, name: str, own: dict[str, Any]) -> Iterator[Problem]:
    wanted = {"value": None, "source": TEXT, "date": DATE}
    for part, value in own.items():
        if part not in wanted or ((rule := wanted[part]) and rule.fault(value) is not None):
            message = f"{local.record.id}: {name} must have a value, a source (text) and a date"
            yield local.problem(f"$.{name}.{part}", message)


def _duplicates(records: list[LocalRecord]) -> Iterator[Problem]:
    first: dict[tuple[str, str], LocalRecord] = {}
    for local in records:
        key = (local.record.kind, local.record.id.lower())
        known = first.setdefault(key, local)
        if known is not local:
            where = f"{known.path.name}:{known.lines['$.id']}"
            yield local.problem("$.id", f"the {key[0]} {local.record.id!r} is already at {where}")
