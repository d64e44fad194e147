"""Ever looser forms of a schema that may be loosened, for where it can't be followed as it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from minikin.constrain.plan import SchemaPart
from minikin.constrain.schema.document import LISTED, NAMED, SINGLE

REFINING = (
    "not", "if", "oneOf", "contains", "uniqueItems", "propertyNames", "minProperties",
    "unevaluatedItems", "unevaluatedProperties", "dependentSchemas", "dependentRequired",
    "dependencies", "patternProperties", "pattern", "format", "multipleOf", "allOf",
)  # fmt: skip
"""Keywords that a schema can do without and still have its form, those hardest to follow first."""


def looser(part: SchemaPart) -> Iterator[SchemaPart]:
    """The part as it is; without one keyword; without all that refine it; any object."""
    yield part
    if not part.loose or part.schema is None:
        return
    used = [key for key in REFINING if _uses(part.schema, key)]
    for keys in (*({key} for key in used), {*used}):
        yield msgspec.structs.replace(part, schema=without(part.schema, keys))
    yield any_object(part)


def any_object(part: SchemaPart) -> SchemaPart:
    """The part if nothing of its schema can be followed."""
    return msgspec.structs.replace(part, schema=None, loose=False)


def without(node: Any, keys: set[str]) -> Any:
    """A schema without these keywords; one of several is then any of them."""
    if isinstance(node, list):
        return [without(child, keys) for child in node]
    if not isinstance(node, dict):
        return node
    made: dict[str, Any] = {}
    for key, value in node.items():
        if key == "oneOf" and key in keys and "anyOf" not in node:
            made["anyOf"] = without(value, keys)
        elif key in keys or (key in ("then", "else") and "if" in keys):
            continue
        elif key in (*NAMED, "dependencies") and isinstance(value, dict):
            made[key] = {name: without(child, keys) for name, child in value.items()}
        elif key in (*LISTED, *SINGLE):
            made[key] = without(value, keys)
        else:
            made[key] = value
    return made


def _uses(schema: Any, key: str) -> bool:
    return without(schema, {key}) != schema
