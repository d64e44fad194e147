"""Narrows a JSON Schema so that a small model can finish and the grammar library can follow.

The original schema allows every value of the narrowed schema, but not the reverse. Numbers have a
limited number of digits. Formats become regular expressions. Values of any type and recursive
schemas have a limited depth. Objects have only properties that the schema names.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from minikin.constrain.schema.alternatives import Alternatives, TooComplexError
from minikin.constrain.schema.arrays import placed, unique_lists
from minikin.constrain.schema.document import REFERENCES, Document
from minikin.constrain.schema.objects import FREE_NAME, MAX_FREE, Properties
from minikin.constrain.schema.shape import Nodes, Shape, common_multiple, key_of, text_of, within
from minikin.constrain.schema.subject import Subject

MOST = 10**15
"""The limit for numbers without a bound. Every integer up to it is a double."""
STEP = 1e-6
"""A number without `multipleOf` has at most six digits after the point."""
EXACT = 2**-6
"""Validators divide doubles. For them, 19.99 is not a multiple of 0.01, and 19.75 is one."""
MAX_DIGITS = 2_000
"""Maximum digits of a divisor as an integer. The grammar library has a state per remainder."""
FEW_MULTIPLES = 100
"""Listed multiples of a divisor with more digits, or of one far from every double."""
ANY_DEPTH = 3
"""Maximum nesting of a value of any type."""
MAX_LEVEL = 10
"""Maximum recursion of a recursive schema."""
MAX_NODES = 20_000
"""Maximum number of schemas in a narrowed schema."""

Schema = dict[str, Any]

_ANY = "any"
_REFINING = ("not", "oneOf", "if", "contains", "uniqueItems", "propertyNames", "minProperties")
"""Keywords that are only partly supported."""


def narrow(
    schema: Schema, subject: Subject, *, lenient: bool = False, closed: bool = False
) -> Schema:
    """The narrowed copy of `schema`.

    If `lenient`, the copy ignores keywords that cannot be followed. If `closed`, an object without
    described properties has no properties.

    Raises InvalidRequest for an invalid schema, Unfollowable for one that is not supported.
    """
    try:
        return _Narrowing(schema, subject, lenient=lenient, closed=closed).result()
    except (TooComplexError, RecursionError) as error:
        raise subject.too_complex() from error


def any_object() -> Schema:
    """The schema of any object, with at most ANY_DEPTH levels of values."""
    return _free_object({"$ref": f"#/$defs/{_ANY}{ANY_DEPTH}"}) | {"$defs": _any_values()}


def _free_object(values: Schema) -> Schema:
    names = {"patternProperties": {FREE_NAME: values}, "additionalProperties": False}
    return {"type": "object", **names, "maxProperties": MAX_FREE}


class _Narrowing:
    """Narrows one schema."""

    def __init__(self, schema: Schema, subject: Subject, *, lenient: bool, closed: bool) -> None:
        self._subject = subject
        self._document = Document(schema, subject, lenient=lenient)
        self._root: Nodes = (self._document.root,)
        self._closed = key_of(self._root) if closed else None
        """The object that has no properties but those described."""
        self._alternatives = Alternatives(self._document)
        self._definitions: dict[str, Schema] = {}
        self._names: dict[tuple[bytes, int], Schema | bool] = {}
        """The results for schemas with references, at each level."""
        self._within: frozenset[bytes] = frozenset()
        self._level = 0
        """The current recursion of each schema."""
        self._nodes = 0
        self._uses_any = False

    def result(self) -> Schema:
        root = self._value(self._root)
        if root is False:
            raise self._subject.unfollowable(self._reason())
        definitions = self._definitions | (_any_values() if self._uses_any else {})
        return root | {"$defs": definitions} if definitions else root

    def _reason(self) -> str:
        """The reason why no value is left."""
        if not self._alternatives.lost:
            return "no value can match it."
        written = text_of(self._document.root)
        used = [key for key in _REFINING if f'"{key}":'.encode() in written]
        return f"unsupported keywords: {used} with {sorted(self._alternatives.lost)}."

    def _value(self, nodes: Nodes) -> Any:
        """The narrowed schema of values that satisfy all `nodes`. False if there is none."""
        key = key_of(nodes)
        if not any(f'"{reference}":'.encode() in key for reference in REFERENCES):
            return self._made(nodes)
        level = self._level + (key in self._within)
        if level > MAX_LEVEL:
            return False
        if (key, level) not in self._names:
            outer = self._level, self._within
            self._level, self._within = level, self._within | {key}
            made = self._made(nodes)
            self._level, self._within = outer
            if made is not False:
                name = f"d{len(self._definitions)}"
                self._definitions[name] = made
                made = {"$ref": f"#/$defs/{name}"}
            self._names[key, level] = made
        return self._names[key, level]

    def _made(self, nodes: Nodes) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise TooComplexError
        shapes = self._alternatives.of(nodes)
        said = [shape for shape in shapes if not shape.implied]
        if len(shapes) == 6 and not said:
            self._uses_any = True
            return {"$ref": f"#/$defs/{_ANY}{ANY_DEPTH}"}
        closed = key_of(nodes) == self._closed
        return _any_of([self._shape(shape, closed=closed) for shape in said or shapes])

    def _shape(self, shape: Shape, *, closed: bool = False) -> Any:
        if shape.values is not None:
            return {"enum": list(shape.values)}
        if shape.kind in ("number", "integer"):
            return _number(shape)
        if shape.kind == "string":
            return _string(shape)
        if shape.kind == "array":
            lists = placed(shape, self._alternatives) if shape.items.contains else [shape]
            return _any_of([self._array(one) for one in lists])
        if shape.kind == "object":
            return self._object(Properties(shape, self._alternatives, closed=closed))
        return {"type": shape.kind}

    def _array(self, shape: Shape) -> Any:
        least, most = shape.limits.get("minItems", 0), shape.limits.get("maxItems", math.inf)
        if shape.items.unique and most > 1:
            return _any_of([self._shape(one) for one in unique_lists(shape, self._alternatives)])
        prefix: list[Any] = []
        for nodes in shape.items.prefix:
            if len(prefix) >= most or (made := self._value(nodes)) is False:
                most = min(most, len(prefix))
                break
            prefix.append(made)
        rest = self._value(shape.items.rest) if most > len(prefix) else False
        if rest is False:
            most = min(most, len(prefix))
        if least > most:
            return False
        most = max(least, len(prefix), MAX_FREE) if most == math.inf else most
        made = {"type": "array", "items": rest, "minItems": least, "maxItems": most}
        return made | ({"prefixItems": prefix} if prefix else {})

    def _object(self, properties: Properties) -> Any:
        named = {name: self._value(nodes) for name, nodes in properties.named.items()}
        rest = self._value(properties.rest)
        patterns = {p: self._value(nodes) for p, nodes in properties.patterns.items()}
        return properties.schema(named, patterns, rest)


def _any_of(schemas: list[Any]) -> Any:
    made = [schema for schema in schemas if schema is not False]
    return (made[0] if len(made) == 1 else {"anyOf": made}) if made else False


def _any_values() -> dict[str, Schema]:
    """Definitions of any value, one for each depth."""
    plain = [{"type": "string"}, _number(Shape("number")), {"type": "boolean"}, {"type": "null"}]
    found = {f"{_ANY}0": {"anyOf": plain}}
    for depth in range(1, ANY_DEPTH + 1):
        inner = {"$ref": f"#/$defs/{_ANY}{depth - 1}"}
        nested = [
            {"type": "array", "items": inner, "maxItems": MAX_FREE},
            _free_object(inner),
        ]
        found[f"{_ANY}{depth}"] = {"anyOf": [*plain, *nested]}
    return found


def _number(shape: Shape) -> Any:
    made: Schema = {"type": shape.kind} | shape.limits
    low = max(made.get("minimum", -math.inf), made.get("exclusiveMinimum", -math.inf))
    high = min(made.get("maximum", math.inf), made.get("exclusiveMaximum", math.inf))
    if low > high or (
        low == high and low in (made.get("exclusiveMinimum"), made.get("exclusiveMaximum"))
    ):
        return False
    wide = MOST if shape.kind == "number" else math.inf  # above it, all doubles are integers
    if low == -math.inf or (low < -wide and high >= -MOST / 10):
        made["minimum"] = -MOST if high >= -MOST / 10 else 10 * high
    if high == math.inf or (high > wide and low <= MOST / 10):
        made["maximum"] = MOST if low <= MOST / 10 else 10 * low
    if "multipleOf" in made:
        return _multiples(made)
    if shape.kind == "number":
        made["multipleOf"] = STEP
    return made


def _multiples(made: Schema) -> Any:
    """Multiples that a division of doubles accepts."""
    given = made["multipleOf"]
    step = common_multiple(given, 1 if made["type"] == "integer" else EXACT)
    written, digits = Fraction(str(given)), int(Fraction(str(step)) * 10**15) or 10**30
    while digits % 10 == 0:
        digits //= 10
    is_exact = abs(Fraction(given) - written) <= written / 2**54  # no quotient is rounded
    if is_exact and digits <= MAX_DIGITS:
        return made | {"multipleOf": step}
    low = max(made.get("minimum", -math.inf), made.get("exclusiveMinimum", -math.inf))
    first = max(math.ceil(low / step), -FEW_MULTIPLES // 2)
    values = [at * step for at in range(first, first + FEW_MULTIPLES)]
    found = [v for v in values if within(made, v) and float(v / given).is_integer()]
    return {"enum": found} if found else False


def _string(shape: Shape) -> Any:
    made: Schema = {"type": "string", **shape.limits}
    if len(shape.patterns) == 1:
        made["pattern"] = shape.patterns[0]
    elif shape.patterns:
        made["allOf"] = [{"type": "string", "pattern": pattern} for pattern in shape.patterns]
    return made
