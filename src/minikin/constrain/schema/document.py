"""A JSON Schema from the client: checked, with resolved references, in the latest dialect.

Drafts 4 to 2020-12 are supported, see https://json-schema.org/specification. Keywords without an
effect on values are removed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal, get_args
from urllib.parse import unquote, urljoin

from minikin.constrain.schema.formats import FORMATS
from minikin.constrain.schema.patterns import compiled, follow, looks_around, what_is_unknown
from minikin.constrain.schema.subject import Subject, Unfollowable
from minikin.errors import InvalidRequest

MAX_NUMBER = 1e300
"""Bounds from here on are at the limit of a double."""
MAX_MULTIPLE = 100_000
"""For larger divisors, the grammar library needs seconds and hundreds of megabytes."""
MAX_PROPERTIES = 5_000
MAX_ENUM_VALUES = 1_000
MAX_ENUM_TEXT = 120_000

Node = dict[str, Any] | bool
"""A schema in the latest dialect. `$ref` is a pointer into the document."""
Path = tuple[str, ...]

JsonType = Literal["null", "boolean", "integer", "number", "string", "array", "object"]
TYPES: tuple[JsonType, ...] = get_args(JsonType)
NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_COUNTS = (
    "minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties",
    "minContains", "maxContains",
)  # fmt: skip
NAMED = ("properties", "patternProperties", "dependentSchemas", "$defs", "definitions")
LISTED = ("anyOf", "oneOf", "allOf", "prefixItems")
SINGLE = (
    "items", "additionalItems", "additionalProperties", "propertyNames", "contains", "not", "if",
    "then", "else", "unevaluatedItems", "unevaluatedProperties",
)  # fmt: skip
_PLAIN = ("type", "const", "required", "dependentRequired", "uniqueItems")
REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_SHAPES = {
    **dict.fromkeys((*NAMED, "dependencies", "dependentRequired"), ("an object", dict)),
    **dict.fromkeys((*LISTED, "required", "enum"), ("an array", list)),
    **dict.fromkeys(_COUNTS, ("a number", int | float)),
    **dict.fromkeys(NUMBERS, ("a number", float)),
    **dict.fromkeys(("pattern", "format", *REFERENCES), ("a string", str)),
    "type": ("a string or array", str | list),
    "uniqueItems": ("a boolean", bool),
}


class Document:
    """One schema with everything that it refers to.

    Raises InvalidRequest if it is not valid, Unfollowable for an unsupported keyword. A `lenient`
    document ignores such a keyword, and uses the supported part of a pattern.
    """

    def __init__(self, schema: dict[str, Any], subject: Subject, *, lenient: bool = False) -> None:
        self._subject = subject
        self.lenient = lenient
        self._schema = schema
        self._count = {"properties": 0, "enum values": 0, "characters in enum values": 0}
        dialect = str(schema.get("$schema"))
        self._id = "id" if "draft-04" in dialect else "$id"
        self._alone = re.search("draft-0[467]", dialect) is not None
        """Whether keywords beside a `$ref` are ignored."""
        self._bases: dict[Path, str] = {}
        self._places: dict[str, Path] = {"": ()}
        """URIs of schemas -> their places."""
        self._dynamic: dict[str, int] = {}
        for path, node in _schemas(schema, ()):
            self._name(path, node)
        self._cleaned: dict[Path, Node] = {}
        self.root = self._clean(schema, ())

    def target(self, pointer: str) -> Node:
        """The target of a cleaned `$ref`."""
        path = tuple(_unescape(key) for key in pointer.split("/")[1:])
        if path not in self._cleaned:
            node: Any = self._schema
            for key in path:
                node = node[int(key)] if isinstance(node, list) else node[key]
            self._cleaned[path] = self._clean(node, path)
        return self._cleaned[path]

    def _name(self, path: Path, node: dict[str, Any]) -> None:
        if self._alone and "$ref" in node:
            return
        base = self._base(path)
        own = node.get(self._id)
        if isinstance(own, str) and own.startswith("#"):
            self._places[base + own] = path
        elif isinstance(own, str):
            base = self._bases[path] = urljoin(base, own).rstrip("#")
            self._places[base] = path
        for key in ("$anchor", "$dynamicAnchor"):
            if isinstance(anchor := node.get(key), str):
                self._places[f"{base}#{anchor}"] = path
        for key in ("$dynamicAnchor", "$recursiveAnchor"):
            if key in node:
                name = str(node[key])
                self._dynamic[name] = self._dynamic.get(name, 0) + 1

    def _base(self, path: Path) -> str:
        for size in range(len(path), -1, -1):
            if path[:size] in self._bases:
                return self._bases[path[:size]]
        return ""

    def _resolve(self, key: str, reference: str, path: Path) -> str:
        name = "True" if key == "$recursiveRef" else reference.partition("#")[2]
        if key != "$ref" and self._dynamic.get(name, 0) > 1:
            raise self._unfollowable(path, f"unsupported keywords: [{key!r}] with several anchors.")
        base = self._base(path)
        full = base + reference if reference.startswith("#") else urljoin(base, reference)
        address, _, fragment = full.partition("#")
        place = self._places.get(full) if fragment else self._places.get(address)
        if place is None and fragment.startswith("/") and address in self._places:
            inner = tuple(_unescape(unquote(key)) for key in fragment.split("/")[1:])
            place = (*self._places[address], *inner)
        if place is None or not _exists(self._schema, place):
            raise self._unfollowable((*path, key), f"{_shown(reference)} is not within the schema.")
        return "".join("/" + _escape(key) for key in place)

    def _clean(self, node: Any, path: Path) -> Node:
        if isinstance(node, bool):
            return node
        if not isinstance(node, dict):
            raise self._fault(path, f"{_shown(node)} is not of type 'object', 'boolean'.")
        self._check(node, path)
        made: dict[str, Any] = {}
        patterns: tuple[str, ...] = ()
        for key, value in _latest(node).items():
            here = (*path, key)
            if key == "pattern":
                patterns = self._followed(value, here)
            elif key == "patternProperties":
                made[key] = self._named(self._by_pattern(value, here), here)
            elif key in NAMED:
                found = self._named(value.items(), here)
                if key not in ("$defs", "definitions"):
                    made[key] = found
            elif key in LISTED:
                made[key] = [self._clean(v, (*here, str(at))) for at, v in enumerate(value)]
            elif key in SINGLE:
                made[key] = self._clean(value, here)
            elif key in REFERENCES:
                made |= self._reference(key, value, path)
            elif key in _COUNTS:
                made[key] = math.ceil(value) if key.startswith("min") else math.floor(value)
            elif key in _PLAIN or self._is_kept(key, value, path):
                made[key] = value
        if patterns:
            made["pattern"] = patterns[0]
        if more := [{"pattern": pattern} for pattern in patterns[1:]]:
            made["allOf"] = [*made.get("allOf", ()), *more]
        return made

    def _named(self, children: Iterable[tuple[str, Any]], path: Path) -> dict[str, Node]:
        return {name: self._clean(child, (*path, name)) for name, child in children}

    def _reference(self, key: str, reference: str, path: Path) -> dict[str, str]:
        try:
            return {key: self._resolve(key, reference, path)}
        except Unfollowable:
            if not self.lenient:
                raise
            return {}

    def _followed(self, pattern: str, path: Path) -> tuple[str, ...]:
        """Patterns that replace one. All of them must match."""
        followed = follow(pattern)
        if not followed.exact and not self.lenient:
            raise self._unknown(pattern, path)
        return followed.patterns

    def _by_pattern(self, children: dict[str, Any], path: Path) -> Iterator[tuple[str, Any]]:
        for pattern, child in children.items():
            spelt = self._followed(pattern, (*path, pattern))
            if len(spelt) == 1:
                yield spelt[0], child
            elif not self.lenient:
                raise self._unknown(pattern, (*path, pattern))

    def _unknown(self, pattern: str, path: Path) -> Exception:
        try:
            compiled(pattern)
        except (re.error, RecursionError, OverflowError) as error:
            return self._unfollowable(path[:-1], f"{_shown(pattern)} is not a 'regex': {error}.")
        if looks_around(pattern):
            return self._subject.lookaround(json_path(path))
        return self._unfollowable(path, f"{what_is_unknown(pattern)}.")

    def _is_kept(self, key: str, value: Any, path: Path) -> bool:
        """Whether a keyword has an effect that is supported."""
        if key == "format":
            return value in FORMATS
        if key == "enum":
            return self._is_counted(value)
        return key in NUMBERS and self._is_within_reach(key, value, path)

    def _is_within_reach(self, key: str, bound: float, path: Path) -> bool:
        """Whether the limit is supported. If not, a lenient document ignores it."""
        most = MAX_MULTIPLE if key == "multipleOf" else MAX_NUMBER
        if abs(bound) <= most:
            return True
        if self.lenient:
            return False
        if key == "multipleOf":
            raise self._unfollowable(path, f"'multipleOf' must be above 0, at most {MAX_MULTIPLE}.")
        raise self._unfollowable((*path, key), f"{_shown(bound)} is not a number.")

    def _is_counted(self, values: list[Any]) -> bool:
        """Whether there is room for these values. If not, a lenient document ignores them."""
        size = sum(len(str(value)) for value in values)
        before = dict(self._count)
        try:
            self._tally("enum values", len(values), MAX_ENUM_VALUES)
            self._tally("characters in enum values", size, MAX_ENUM_TEXT)
        except Unfollowable:
            self._count = before
            if not self.lenient:
                raise
            return False
        return True

    def _check(self, node: dict[str, Any], path: Path) -> None:
        for key, (name, kind) in _SHAPES.items():
            old = key.startswith("exclusive") and isinstance(node.get(key), bool)
            if key in node and not old and not _is_a(node[key], kind):
                raise self._fault((*path, key), f"{_shown(node[key])} is not {name}.")
        lists = [node.get("required", []), *node.get("dependentRequired", {}).values()]
        lists += [rule for rule in node.get("dependencies", {}).values() if isinstance(rule, list)]
        if not all(isinstance(names, list) and _all_text(names) for names in lists):
            raise self._fault(path, "'required' is not an array of strings.")
        for kind in _listed(node.get("type", [])):
            if kind not in TYPES:
                raise self._fault(
                    path, f"{_shown(kind)} is not valid under any of the given schemas."
                )
        for key in ("anyOf", "oneOf", "allOf", "enum"):
            if node.get(key) == []:
                raise self._fault((*path, key), "[] should be non-empty.")
        if not node.get("multipleOf", 1) > 0:
            raise self._fault(path, f"'multipleOf' must be above 0, at most {MAX_MULTIPLE}.")
        self._tally("properties", len(node.get("properties", ())), MAX_PROPERTIES)

    def _tally(self, what: str, more: int, most: int) -> None:
        self._count[what] += more
        if self._count[what] > most:
            raise self._subject.unfollowable(f"it has too many {what}: at most {most} are allowed.")

    def _fault(self, path: Path, reason: str) -> InvalidRequest:
        return self._subject.fault(f"In context={path!r}, {reason}")

    def _unfollowable(self, path: Path, reason: str) -> Unfollowable:
        return Unfollowable(self._fault(path, reason))


def json_path(path: Path) -> str:
    """A place as a JSON path, as in OpenAI's messages about patterns."""
    return "$" + "".join(f"[{key}]" if key.isdecimal() else f".{key}" for key in path)


def _latest(node: dict[str, Any]) -> dict[str, Any]:
    """`node` in draft 2020-12. Keywords keep their order."""
    made: dict[str, Any] = {}
    for key, value in node.items():
        if key == "items" and isinstance(value, list):
            made["prefixItems"] = value
            if "additionalItems" in node:
                made["items"] = node["additionalItems"]
        elif key == "dependencies":
            lists = {name: rule for name, rule in value.items() if isinstance(rule, list)}
            rules = {name: rule for name, rule in value.items() if name not in lists}
            made["dependentRequired"] = lists | made.get("dependentRequired", {})
            made["dependentSchemas"] = rules | made.get("dependentSchemas", {})
        elif key.startswith("dependent") and isinstance(value, dict):
            made[key] = made.get(key, {}) | value
        elif key != "additionalItems":
            made[key] = value
    for bound, strict in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(made.get(strict), bool) and made.pop(strict) and bound in made:
            made[strict] = made.pop(bound)
    return made


def _schemas(node: Any, path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every object at a place where a schema is allowed."""
    if not isinstance(node, dict):
        return
    yield path, node
    for key, value in node.items():
        if key in (*NAMED, "dependencies") and isinstance(value, dict):
            for name, child in value.items():
                yield from _schemas(child, (*path, key, name))
        elif isinstance(value, list) and key in (*LISTED, "items"):
            for at, child in enumerate(value):
                yield from _schemas(child, (*path, key, str(at)))
        elif key in SINGLE:
            yield from _schemas(value, (*path, key))


def _exists(node: Any, path: Path) -> bool:
    for key in path:
        if isinstance(node, list) and key.isdecimal() and int(key) < len(node):
            node = node[int(key)]
        elif isinstance(node, dict) and key in node:
            node = node[key]
        else:
            return False
    return True


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _unescape(key: str) -> str:
    return key.replace("~1", "/").replace("~0", "~")


def _listed(kind: Any) -> list[Any]:
    return kind if isinstance(kind, list) else [kind]


def _is_a(value: Any, kind: Any) -> bool:
    if kind == int | float:
        return type(value) in (int, float) and abs(value) < MAX_NUMBER
    if kind is float:  # of any size
        return type(value) in (int, float)
    return isinstance(value, kind)


def _all_text(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _shown(value: Any) -> str:
    return repr(value)[:64]
