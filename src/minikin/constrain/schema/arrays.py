"""Rewrites arrays with `contains` or `uniqueItems` as arrays whose form guarantees them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, permutations
from math import inf
from typing import Any

from minikin.constrain.schema.alternatives import Alternatives
from minikin.constrain.schema.shape import Items, Nodes, Shape, both

MAX_PLACED = 64
"""Maximum elements that `contains` can require."""
ALL_ORDERS = 4
"""Up to this many values, every order is allowed. Above it, only the listed order is."""
ALL_SUBSETS = 8
"""Above this many values, only some are allowed together."""


def placed(shape: Shape, alternatives: Alternatives) -> list[Shape]:
    """Arrays that satisfy `contains` with their first elements, or with those after the tuple."""
    found = [replace(shape, items=replace(shape.items, contains=()))]
    for node, least, most in shape.items.contains:
        if least > MAX_PLACED:
            alternatives.lost.add("minContains")
            return []
        found = [
            made
            for one in found
            for first in range(len(one.items.prefix) + 1 if least else 1)
            if (made := _with_run(one, node, first, int(least), most)) is not None
        ][:ALL_SUBSETS]
    return found


def _with_run(shape: Shape, node: Any, first: int, least: int, most: float) -> Shape | None:
    """`shape` with elements that satisfy `node`, from the position `first` on."""
    items = shape.items
    no: Nodes = ({"not": node},) if most < inf else ()
    size = max(len(items.prefix), first + least)
    prefix = [
        both(items.at(at), (node,) if first <= at < first + least else no) for at in range(size)
    ]
    limits = shape.limits | {"minItems": max(shape.limits.get("minItems", 0), first + least)}
    if least == 0:
        limits = dict(shape.limits)
    if limits.get("minItems", 0) > limits.get("maxItems", inf) or least > most:
        return None
    made = replace(items, prefix=tuple(prefix), rest=both(items.rest, no))
    return replace(shape, limits=limits, items=made)


def unique_lists(shape: Shape, alternatives: Alternatives) -> Iterator[Shape]:
    """Arrays whose elements cannot be equal. If there are none: any, for a lenient document."""
    items = replace(shape.items, unique=False)
    least, most = int(shape.limits.get("minItems", 0)), shape.limits.get("maxItems", inf)
    if least <= 1:
        yield replace(shape, items=items, limits=shape.limits | {"maxItems": 1})
    values = _values(items.rest, alternatives)
    if items.prefix or not values:
        if least > 1 and alternatives.lenient:
            yield replace(shape, items=items)
        elif least > 1:
            alternatives.lost.add("uniqueItems")
        return
    if len(values) <= ALL_SUBSETS:
        ways = permutations if len(values) <= ALL_ORDERS else combinations
        sizes = range(max(least, 2), int(min(most, len(values))) + 1)
        lists = tuple(list(way) for size in sizes for way in ways(values, size))
        if lists:
            yield Shape("listed", values=lists)
        return
    count = max(least, int(min(most, ALL_SUBSETS)))
    shares = tuple(({"enum": values[at::count]},) for at in range(count) if values[at::count])
    yield replace(shape, items=Items(shares, (False,)))


def _values(nodes: Nodes, alternatives: Alternatives) -> list[Any]:
    """All values that satisfy `nodes`, if they are few and known."""
    found: list[Any] = []
    for shape in alternatives.of(nodes):
        if shape.values is None and shape.kind not in ("boolean", "null"):
            return []
        found += shape.values or {"boolean": [True, False]}.get(shape.kind, [None])
    return found
