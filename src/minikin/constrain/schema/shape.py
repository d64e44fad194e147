"""The conditions of one alternative of a schema for values of one type, and joining two of them.

Schemas of parts (properties, items) are not changed: they are a tuple of nodes that must all hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import gcd, inf, lcm
from typing import Any, Literal

import msgspec

from minikin.constrain.schema.document import JsonType, Node
from minikin.constrain.schema.formats import FORMATS
from minikin.constrain.schema.patterns import compiled

Nodes = tuple[Node, ...]
FREE: Nodes = ()
NONE: Nodes = (False,)


def both(first: Nodes, second: Nodes) -> Nodes:
    """All nodes of `first` and `second`."""
    known = {text_of(node) for node in first}
    joined = (*first, *(node for node in second if text_of(node) not in known))
    if any(node is False for node in joined):
        return NONE
    return tuple(node for node in joined if node is not True)


def text_of(node: Any) -> bytes:
    """A key that is the same for equal nodes."""
    return msgspec.json.encode(node)


def key_of(nodes: Nodes) -> bytes:
    """A key that is the same for equal nodes."""
    return b"\n".join(map(text_of, nodes))


def common_multiple(first: float, second: float) -> float:
    """The least common multiple."""
    a, b = Fraction(str(first)), Fraction(str(second))
    least = Fraction(lcm(a.numerator, b.numerator), gcd(a.denominator, b.denominator))
    return int(least) if least.denominator == 1 else float(least)


_JOIN: dict[str, Callable[..., float]] = {
    "multipleOf": common_multiple,
    **dict.fromkeys(("minimum", "exclusiveMinimum"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum"), min),
}
for _what in ("Length", "Items", "Properties"):
    _JOIN |= {f"min{_what}": max, f"max{_what}": min}


@dataclass(frozen=True)
class Items:
    """The elements of an array."""

    prefix: tuple[Nodes, ...] = ()
    rest: Nodes = FREE
    unique: bool = False
    contains: tuple[tuple[Node, int, float], ...] = ()
    """Schemas with the minimum and maximum number of elements that satisfy them."""
    seen: float = 0
    """The number of evaluated elements, in the sense of `unevaluatedItems`."""

    def at(self, place: int) -> Nodes:
        """The schema of the element at `place`."""
        return self.prefix[place] if place < len(self.prefix) else self.rest

    def join(self, other: Items) -> Items:
        """Elements that satisfy both."""
        size = max(len(self.prefix), len(other.prefix))
        return Items(
            tuple(both(self.at(i), other.at(i)) for i in range(size)),
            both(self.rest, other.rest),
            self.unique or other.unique,
            self.contains + other.contains,
            max(self.seen, other.seen),
        )

    def unseen(self, node: Node) -> Items:
        """With `node` for all unevaluated elements."""
        prefix = [
            both(nodes, (node,)) if at >= self.seen else nodes
            for at, nodes in enumerate(self.prefix)
        ]
        while len(prefix) < self.seen < inf:
            prefix.append(self.rest)
        rest = both(self.rest, (node,)) if self.seen < inf else self.rest
        return replace(self, prefix=tuple(prefix), rest=rest, seen=inf)


@dataclass(frozen=True)
class Members:
    """The properties of an object."""

    named: dict[str, Nodes] = field(default_factory=dict)
    patterns: dict[str, Nodes] = field(default_factory=dict)
    rest: Nodes = FREE
    required: tuple[str, ...] = ()
    names: Nodes = FREE
    """The schema of every name."""
    seen: frozenset[str] = frozenset()
    """Evaluated names, in the sense of `unevaluatedProperties`."""
    seen_patterns: frozenset[str] = frozenset()
    all_seen: bool = False

    def of(self, name: str) -> Nodes:
        """The schema of the property `name`."""
        if name in self.named:
            return self.named[name]
        matching = [nodes for p, nodes in self.patterns.items() if compiled(p).search(name)]
        if not matching:
            return self.rest
        nodes = FREE
        for more in matching:
            nodes = both(nodes, more)
        return nodes

    def join(self, other: Members) -> Members:
        """Properties that satisfy both."""
        return Members(
            {n: both(self.of(n), other.of(n)) for n in (*self.named, *other.named)},
            {
                p: both(self.patterns.get(p, self.rest), other.patterns.get(p, other.rest))
                for p in (*self.patterns, *other.patterns)
            },
            both(self.rest, other.rest),
            tuple(dict.fromkeys(self.required + other.required)),
            both(self.names, other.names),
            self.seen | other.seen,
            self.seen_patterns | other.seen_patterns,
            self.all_seen or other.all_seen,
        )

    def unseen(self, node: Node) -> Members:
        """With `node` for all unevaluated properties."""
        if self.all_seen:
            return self

        def more(name: str, nodes: Nodes) -> Nodes:
            spoken = any(compiled(p).search(name) for p in self.seen_patterns)
            return nodes if spoken or name in self.seen else both(nodes, (node,))

        named = {name: more(name, nodes) for name, nodes in self.named.items()}
        patterns = {
            p: nodes if p in self.seen_patterns else both(nodes, (node,))
            for p, nodes in self.patterns.items()
        }
        rest = both(self.rest, (node,))
        return replace(self, named=named, patterns=patterns, rest=rest, all_seen=True)


@dataclass(frozen=True)
class Shape:
    """Values of one type. With `values`, only these."""

    kind: JsonType | Literal["listed"]
    """"listed" if `values` lists the values, of any type."""
    limits: dict[str, float] = field(default_factory=dict)
    """Limits of numbers, lengths and counts, by keyword."""
    patterns: tuple[str, ...] = ()
    items: Items = field(default_factory=Items)
    members: Members = field(default_factory=Members)
    values: tuple[Any, ...] | None = None
    implied: bool = False
    """The shape without conditions for this type."""

    def join(self, other: Shape) -> Shape | None:
        """Values with both shapes, or None. Neither shape has `values`."""
        kinds = {self.kind, other.kind}
        if len(kinds) > 1 and kinds != {"integer", "number"}:
            return None
        limits = dict(self.limits)
        for key, value in other.limits.items():
            limits[key] = _JOIN[key](limits[key], value) if key in limits else value
        if not is_possible(limits):
            return None
        members = self.members.join(other.members)
        if any(members.of(name) == NONE for name in members.required):
            return None
        return Shape(
            "integer" if "integer" in kinds else self.kind,
            limits,
            tuple(dict.fromkeys(self.patterns + other.patterns)),
            self.items.join(other.items),
            members,
            implied=self.implied and other.implied,
        )

    def forget_seen(self) -> Shape:
        """The shape without evaluated parts, because a negation evaluates nothing."""
        nobody: frozenset[str] = frozenset()
        members = replace(self.members, seen=nobody, seen_patterns=nobody, all_seen=False)
        return replace(self, items=replace(self.items, seen=0), members=members)


def own_shape(kind: JsonType, node: dict[str, Any], *, implied: bool) -> Shape:
    """The conditions of `node` for values of `kind`, without the schemas that it combines."""
    mine = {"string": "Length", "array": "Items", "object": "Properties"}.get(kind)
    limits = [f"min{mine}", f"max{mine}"]
    if kind in ("number", "integer"):
        limits = [key for key in _JOIN if key.endswith(("imum", "Of"))]
    found = {key: node[key] for key in limits if key in node}
    made = Shape(kind, found)
    if kind == "string":
        spelt = [node["pattern"]] if "pattern" in node else []
        if "format" in node:
            spelt.append(f"^(?:{FORMATS[node['format']]})$")
        made = replace(made, patterns=tuple(spelt))
    elif kind == "array":
        made = replace(made, items=_own_items(node))
    elif kind == "object":
        made = replace(made, members=_own_members(node))
    return replace(made, implied=implied and made == Shape(kind))


def _own_items(node: dict[str, Any]) -> Items:
    prefix = tuple((child,) for child in node.get("prefixItems", ()))
    contains: list[tuple[Node, int, float]] = []
    if "contains" in node:
        least, most = node.get("minContains", 1), node.get("maxContains", inf)
        contains.append((node["contains"], least, most))
    rest = both((node["items"],), ()) if "items" in node else FREE
    seen = inf if "items" in node else len(prefix)
    return Items(prefix, rest, bool(node.get("uniqueItems")), tuple(contains), seen)


def _own_members(node: dict[str, Any]) -> Members:
    written = node.get("properties", {})
    patterns = {p: both((child,), ()) for p, child in node.get("patternProperties", {}).items()}
    rest = both((node.get("additionalProperties", True),), ())
    names = both((node.get("propertyNames", True),), ())
    made = Members({}, patterns, rest, tuple(dict.fromkeys(node.get("required", ()))), names)
    named = {}
    for name, child in written.items():
        matching = any(compiled(p).search(name) for p in patterns)
        named[name] = both((child,), made.of(name) if matching else FREE)
    return replace(
        made,
        named=named,
        seen=frozenset(written),
        seen_patterns=frozenset(patterns),
        all_seen="additionalProperties" in node,
    )


def is_possible(limits: dict[str, float]) -> bool:
    """Whether a length or count can satisfy `limits`."""
    return all(
        limits.get(f"min{what}", 0) <= limits.get(f"max{what}", inf)
        for what in ("Length", "Items", "Properties")
    )


def freeze(value: Any) -> Any:
    """A key that is equal only for equal JSON values."""
    if isinstance(value, dict):
        return ("object", *sorted((key, freeze(item)) for key, item in value.items()))
    if isinstance(value, list):
        return ("array", *map(freeze, value))
    return (isinstance(value, bool), value)


def kind_of(value: Any) -> JsonType:
    """The JSON type of `value`. That of 1.0 is "integer"."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def within(limits: dict[str, float], value: Any) -> bool:
    """Whether a number, or the size of a string, array or object, satisfies `limits`."""
    if isinstance(value, int | float):
        multiple = Fraction(str(limits.get("multipleOf", 0)))
        return (
            limits.get("minimum", -inf) <= value <= limits.get("maximum", inf)
            and limits.get("exclusiveMinimum", -inf) < value < limits.get("exclusiveMaximum", inf)
            and (not multiple or Fraction(str(value)) % multiple == 0)
        )
    least = [bound for key, bound in limits.items() if key.startswith("min")]
    most = [bound for key, bound in limits.items() if key.startswith("max")]
    return max(least, default=0) <= len(value) <= min(most, default=inf)


def distinct(values: Iterable[Any]) -> tuple[Any, ...]:
    """`values` without duplicates."""
    return tuple({freeze(value): value for value in reversed([*values])}.values())[::-1]
