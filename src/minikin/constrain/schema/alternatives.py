"""The alternatives of a schema: shapes of one type each. A value must have one of these shapes.

`allOf`, `$ref`, `if` and similar keywords say things about the same value in several places. This
module joins them. An alternative can be dropped or made narrower, never wider.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from math import prod
from typing import Any

from minikin.constrain.schema.complement import complement
from minikin.constrain.schema.document import REFERENCES, TYPES, Document, JsonType, Node
from minikin.constrain.schema.patterns import compiled
from minikin.constrain.schema.shape import (
    Nodes,
    Shape,
    distinct,
    freeze,
    is_possible,
    key_of,
    kind_of,
    own_shape,
    within,
)

MOST = 512
"""Maximum alternatives of one schema. Further ones are dropped."""
ENOUGH = 3
"""Maximum alternatives that a negation leaves of one alternative."""
MAX_STEPS = 50_000
"""Maximum pairs of alternatives to join in one schema."""
MAX_REFERENCES = 16
"""Maximum depth of references to references."""
MAX_PRODUCT = 1_000_000
"""Maximum combinations of one of each `anyOf` in one `allOf`."""
_WITH_PARTS = ("allOf", "anyOf", "oneOf", "if", "dependentSchemas", *REFERENCES)
_KINDS: tuple[JsonType, ...] = tuple(kind for kind in TYPES if kind != "integer")


class TooComplexError(Exception):
    """The schema needs too much time."""


class Alternatives:
    """Finds the alternatives of the schemas in one document."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self.lenient = document.lenient
        """Whether unsupported keywords are ignored."""
        self._found: dict[bytes, list[Shape]] = {}
        self._under_way: set[bytes] = set()
        self._steps = 0
        self.lost: set[str] = set()
        """Keywords in a negation that are not supported there."""

    def of(self, nodes: Nodes) -> list[Shape]:
        """The shapes of values that satisfy all `nodes`. Raises TooComplexError."""
        key = key_of(nodes)
        if key not in self._found:
            if key in self._under_way:
                return []  # a cycle adds no value
            self._under_way.add(key)
            try:
                shapes = _free() if not nodes else self._of_node(nodes[0])
                for node in nodes[1:]:
                    shapes = self._join(shapes, self._of_node(node))
            finally:
                self._under_way.discard(key)
            self._found[key] = shapes
        return self._found[key]

    def holds(self, value: Any, nodes: Nodes) -> bool:
        """Whether `value` has one of the shapes."""
        return any(self._has(shape, value) for shape in self.of(nodes))

    def _of_node(self, node: Node) -> list[Shape]:
        if isinstance(node, bool):
            return _free() if node else []
        own = self._own(node)
        # Properties keep the order of the text.
        late = "properties" in node and any(key in _WITH_PARTS for key in _before(node))
        shapes = [Shape(s.kind, implied=s.implied) for s in own] if late else own
        for key in node:
            for parts, few in self._combined(key, node[key], node):
                shapes = self._join(shapes, parts, few)
        if late:
            shapes = self._join(shapes, own)
        for key, part in (("unevaluatedItems", "items"), ("unevaluatedProperties", "members")):
            if key in node:
                shapes = [_unseen(shape, part, node[key]) for shape in shapes]
        return shapes

    def _own(self, node: dict[str, Any]) -> list[Shape]:
        given = node.get("type", _KINDS)
        kinds = given if isinstance(given, list | tuple) else [given]
        shapes = [own_shape(kind, node, implied="type" not in node) for kind in kinds]
        shapes = [shape for shape in shapes if is_possible(shape.limits)]
        for key in ("enum", "const"):
            if key in node:
                values = distinct(node[key] if key == "enum" else [node[key]])
                shapes = self._join([Shape("listed", values=values)], shapes)
        return shapes

    def _combined(
        self, key: str, value: Any, node: dict[str, Any]
    ) -> Iterator[tuple[list[Shape], int]]:
        """The alternatives of each schema that one keyword of `node` adds.

        Each has the number of them that is enough for any other alternative.
        """
        if key in REFERENCES:
            yield self.of((self._document.target(value),)), MOST
        elif key == "allOf":
            ways = prod(len(c.get("anyOf", "x")) for c in value if isinstance(c, dict))
            if ways > MAX_PRODUCT:
                raise TooComplexError
            for child in value:
                yield self.of((child,)), ENOUGH if _is_negation(child) else MOST
        elif key == "anyOf":
            yield self._any(value), MOST
        elif key == "oneOf":
            others = [value[:i] + value[i + 1 :] for i in range(len(value))]
            one = [
                {"allOf": [child, *(self._unlike(child, other) for other in rest)]}
                for child, rest in zip(value, others, strict=True)
            ]
            yield self._any(one), MOST
        elif key == "if" and ("then" in node or "else" in node):
            met = {"allOf": [value, node.get("then", True)]}
            yield self._any([met, {"allOf": [{"not": value}, node.get("else", True)]}]), MOST
        elif key == "not":
            yield self._negated(value), ENOUGH
        elif key in ("dependentRequired", "dependentSchemas"):
            for name, rule in value.items():
                rule = {"required": rule} if key == "dependentRequired" else rule
                present = {"type": "object", "required": [name]}
                yield self._any([{"allOf": [present, rule]}, {"properties": {name: False}}]), MOST

    def _unlike(self, node: Node, other: Node) -> Node:
        """A schema that `other` does not allow, for example an additional property of `node`."""
        mine, theirs = self._plain(node), self._plain(other)
        ways: list[Node] = [{"not": other}]
        if theirs.get("additionalProperties") is False and not theirs.get("patternProperties"):
            more = [name for name in mine.get("properties", ()) if name not in theirs["properties"]]
            ways += [{"type": "object", "required": [name]} for name in more[:ENOUGH]]
        return {"anyOf": ways} if len(ways) > 1 else ways[0]

    def _plain(self, node: Node) -> dict[str, Any]:
        """`node`, or the target of its `$ref`."""
        for _ in range(MAX_REFERENCES):
            if isinstance(node, bool) or "$ref" not in node:
                break
            node = self._document.target(node["$ref"])
        return {"properties": {}} | node if isinstance(node, dict) else {"properties": {}}

    def _any(self, nodes: Sequence[Node]) -> list[Shape]:
        return _gathered(shape for node in nodes for shape in self.of((node,)))

    def _negated(self, node: Node) -> list[Shape]:
        reference = next((k for k in REFERENCES if isinstance(node, dict) and k in node), None)
        target = None
        if reference and isinstance(node, dict):
            target = self._document.target(node[reference])
        opposite, lost = complement(node, target)
        self.lost |= lost
        return [shape.forget_seen() for shape in self.of((opposite,))]

    def _join(self, first: list[Shape], second: list[Shape], few: int = MOST) -> list[Shape]:
        self._steps += len(first) * len(second)
        if self._steps > MAX_STEPS:
            raise TooComplexError
        return _gathered(made for a in first for made in self._joined(a, second, few))

    def _joined(self, a: Shape, others: list[Shape], few: int) -> list[Shape]:
        found: list[Shape] = []
        for b in others:
            made = self._joined_pair(a, b)
            if made is None or (made := self._settled(made, a, b)) is None:
                continue
            if repr(made) == repr(a):
                return [a]  # the others add nothing
            found.append(made)
        return found[:few]

    def _joined_pair(self, a: Shape, b: Shape) -> Shape | None:
        if a.values is None and b.values is None:
            return a.join(b)
        if a.values is None:
            a, b = b, a
        left = tuple(value for value in a.values or () if self._has(b, value))
        return replace(a, values=left) if left else None

    def _settled(self, made: Shape, a: Shape, b: Shape) -> Shape | None:
        """`made` from `a` and `b`. None if a required property is impossible.

        A property that `b` does not narrow stays as in `a`.
        """
        named = dict(made.members.named)
        for name in made.members.required:
            nodes, before = made.members.of(name), a.members.of(name)
            if nodes in (before, b.members.of(name)) or key_of(nodes) in self._under_way:
                continue
            if not (left := self.of(nodes)):
                return None
            if name in named and left[0].values and repr(left) == repr(self.of(before)):
                named[name] = before
        return replace(made, members=replace(made.members, named=named))

    def _has(self, shape: Shape, value: Any) -> bool:
        if shape.values is not None:
            return freeze(value) in {freeze(one) for one in shape.values}
        kind = kind_of(value)
        if kind != shape.kind and (kind, shape.kind) != ("integer", "number"):
            return False
        if kind in ("null", "boolean"):
            return True
        if not within(shape.limits, value):
            return False
        if kind == "string":
            return all(compiled(pattern).search(value) for pattern in shape.patterns)
        if kind == "array":
            return self._has_items(shape, value)
        return kind != "object" or self._has_members(shape, value)

    def _has_items(self, shape: Shape, value: list[Any]) -> bool:
        items = shape.items
        if items.unique and len(distinct(value)) < len(value):
            return False
        for node, least, most in items.contains:
            if len(value) > most or sum(self.holds(item, (node,)) for item in value) < least:
                return False
        return all(self.holds(item, items.at(at)) for at, item in enumerate(value))

    def _has_members(self, shape: Shape, value: dict[str, Any]) -> bool:
        members = shape.members
        return (
            all(name in value for name in members.required)
            and all(self.holds(item, members.of(name)) for name, item in value.items())
            and (not members.names or all(self.holds(name, members.names) for name in value))
        )


def _is_negation(node: Node) -> bool:
    first = node.get("anyOf", [node])[0] if isinstance(node, dict) else node
    return isinstance(first, dict) and [*first] == ["not"]


def _before(node: dict[str, Any]) -> list[str]:
    return list(node)[: list(node).index("properties")]


def _unseen(shape: Shape, part: str, node: Node) -> Shape:
    if shape.values is not None:
        return replace(
            shape, values=tuple(v for v in shape.values if not isinstance(v, dict | list))
        )
    return replace(shape, **{part: getattr(shape, part).unseen(node)})


def _gathered(shapes: Iterable[Shape]) -> list[Shape]:
    """Each shape once, with all values in one shape."""
    found = {repr(shape): shape for shape in shapes}
    typed = [shape for shape in found.values() if shape.values is None]
    values = distinct(v for shape in found.values() for v in shape.values or ())
    return ([Shape("listed", values=values)] if values else []) + typed[:MOST]


def _free() -> list[Shape]:
    return [Shape(kind, implied=True) for kind in _KINDS]
