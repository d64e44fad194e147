"""Makes a schema strict, as the Responses API does with the tools that do not say `strict`.

`additionalProperties: false` is added to objects, and every property becomes required (OpenAI's
guide on function calling).
"""

from __future__ import annotations

from typing import Any

from minikin.constrain.schema.strict import check_strict
from minikin.constrain.schema.subject import Subject
from minikin.errors import InvalidRequest

_NOBODY = Subject("", "")
Schema = dict[str, Any]


def made_strict(schema: Schema) -> Schema | None:
    """`schema` in the strict subset. None: it cannot be, for example because of a free map."""
    strict = _closed(schema, {"properties": {}})
    try:
        check_strict(strict, _NOBODY)
    except InvalidRequest:
        return None
    return strict


def _closed(node: Any, assumed: Schema) -> Any:
    """`node` with closed objects. `assumed` are keywords that a root can leave out."""
    if not isinstance(node, dict):
        return node
    closed = {key: _closed_keyword(key, value) for key, value in node.items()}
    kinds = closed.get("type")
    properties = (assumed | closed).get("properties")
    if "object" in (kinds if isinstance(kinds, list) else [kinds]) and isinstance(properties, dict):
        closed.setdefault("additionalProperties", False)
        required = closed.get("required", [])
        if not isinstance(required, list):
            return closed
        has_all = all(name in required for name in properties)
        closed["required"] = required if has_all else list(properties)
    return closed


def _closed_keyword(key: str, value: Any) -> Any:
    if key in ("properties", "$defs", "definitions") and isinstance(value, dict):
        return {name: _closed(child, {}) for name, child in value.items()}
    if key == "anyOf" and isinstance(value, list):
        return [_closed(child, {}) for child in value]
    return _closed(value, {}) if key == "items" else value
