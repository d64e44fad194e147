"""Findings of probes as patches to the files of models.dev, one for each offering."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from minikin.catalog.facts.evidence import Result
from minikin.catalog.facts.fact import Record
from minikin.catalog.facts.schema import table
from minikin.catalog.sources.catalog import Catalog
from minikin.errors import SetupError

_SAYS = ("verified", "failed", "absent")


def patches(catalog: Catalog, checkout: Path) -> Iterator[str]:
    """A unified diff, with its reasons, for each file of the checkout that a probe contradicts.

    Only fresh results count. Raises SetupError if `checkout` has no folder `providers`.
    """
    if not (checkout / "providers").is_dir():
        raise SetupError(f"{checkout} is not a checkout of models.dev: it has no folder providers.")
    for key in catalog.evidence:
        offering = catalog.offerings[key]
        provider, _, own_id = offering.id.partition("/")
        name = f"providers/{provider}/models/{own_id}.toml"
        if (checkout / name).is_file():
            yield from _patch(catalog, offering, name, checkout / name)


def _patch(catalog: Catalog, offering: Record, name: str, path: Path) -> Iterator[str]:
    old = new = path.read_text(encoding="utf-8")
    try:
        said = tomllib.loads(old)
    except tomllib.TOMLDecodeError as error:
        raise SetupError(f"{path} is not valid TOML: {error}") from None
    reasons: list[str] = []
    for theirs, ours in table("sources.yaml")["models-dev"]["flags"].items():
        state, result = catalog.badge(offering, ours)
        works = state == "verified"
        if result is None or state not in _SAYS or said.get(theirs) is works:
            continue
        new = _with_flag(new, theirs, works)
        reasons.append(_reason(theirs, works, result))
    if reasons:
        lines = difflib.unified_diff(
            old.splitlines(keepends=True),
            new.splitlines(keepends=True),
            f"a/{name}",
            f"b/{name}",
        )
        yield "".join([f"{offering.id}\n", *reasons, *lines])


def _reason(field: str, works: bool, result: Result) -> str:
    return f"- {field} is {str(works).lower()}: {result.reason} ({result.outcome}, {result.at})\n"


def _with_flag(text: str, name: str, value: bool) -> str:
    """The text with a flag before its first table."""
    line = f"{name} = {str(value).lower()}"
    start = re.search(r"^\s*\[", text, re.MULTILINE)
    at = start.start() if start else len(text)
    head, rest = text[:at], text[at:]
    changed, count = re.subn(rf"^{name}\s*=.*$", line, head, count=1, flags=re.MULTILINE)
    if count:
        return changed + rest
    body = head.rstrip("\n")
    return f"{body}\n{line}\n{head[len(body) + 1 :]}{rest}"
