"""Rules for JSON values, as data. A rule can check a value, describe itself, and give its schema.

`check(value, path)` returns the value or raises InvalidRequest in OpenAI's words. `schema` is the
same rule as JSON Schema. `str(rule)` is a short description for the reference. `parameters.py` and
`message_rules.py` consist of these rules. Rules for single parameters are in `parameter_rules.py`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from minikin.api.request import faults
from minikin.errors import InvalidRequest

MAX_DEPTH = 64
"""Maximum nesting of free-form JSON in a body, such as the schema of a tool."""


class Rule(Protocol):
    """The condition for a value."""

    def check(self, value: Any, path: str) -> Any:
        """Return the value if it satisfies the rule. Raises InvalidRequest if not."""
        ...

    @property
    def schema(self) -> dict[str, Any]:
        """The rule as JSON Schema."""
        ...


class _Frozen(msgspec.Struct, frozen=True):
    pass


class Boolean(_Frozen, frozen=True):
    """true or false."""

    def check(self, value: Any, path: str) -> bool:
        """See Rule."""
        if not isinstance(value, bool):
            raise faults.wrong_type(path, "a boolean", value)
        return value

    @property
    def schema(self) -> dict[str, Any]:
        """See Rule."""
        return {"type": "boolean"}

    def __str__(self) -> str:
        return "boolean"


class Integer(_Frozen, frozen=True):
    """An integer without a decimal point."""

    minimum: int
    maximum: int | None = None

    def check(self, value: Any, path: str) -> int:
        """See Rule."""
        if not isinstance(value, int) or isinstance(value, bool):
            raise faults.wrong_type(path, "an integer", value)
        if value < self.minimum:
            raise faults.out_of_range(path, "integer", value, self.minimum, above=False)
        if self.maximum is not None and value > self.maximum:
            raise faults.out_of_range(path, "integer", value, self.maximum, above=True)
        return value

    @property
    def schema(self) -> dict[str, Any]:
        """See Rule."""
        upper = {} if self.maximum is None else {"maximum": self.maximum}
        return {"type": "integer", "minimum": self.minimum, **upper}

    def __str__(self) -> str:
        if self.maximum is None:
            return f"integer, {self.minimum} or more"
        return f"integer, {self.minimum} to {self.maximum}"


class Decimal(_Frozen, frozen=True):
    """A finite number."""

    minimum: float
    maximum: float

    def check(self, value: Any, path: str) -> float:
        """See Rule."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise faults.wrong_type(path, "a decimal", value)
        if math.isnan(value) or value > self.maximum:
            raise faults.out_of_range(path, "decimal", value, self.maximum, above=True)
        if value < self.minimum:
            raise faults.out_of_range(path, "decimal", value, self.minimum, above=False)
        return value

    @property
    def schema(self) -> dict[str, Any]:
        """See Rule."""
        return {"type": "number", "minimum": self.minimum, "maximum": self.maximum}

    def __str__(self) -> str:
        return f"number, {self.minimum} to {self.maximum}"


class Text(_Frozen, frozen=True):
    """A string. Lengths are in characters. The regular expression `pattern` matches all of it."""

    max_length: int | None = None
    min_length: int = 0
    pattern: str | None = None

    def check(self, value: Any, path: str) -> str:
        """See Rule."""
        if not isinstance(value, str):
            raise faults.wrong_type(path, "a string", value)
        if len(value) < self.min_length:
            raise faults.empty(path, "string")
        if self.max_length is not None and len(value) > self.max_length:
            raise faults.too_long(path, "string", self.max_length, len(value))
        if self.pattern and not re.fullmatch(self.pattern, value):
            raise faults.no_match(path, self.pattern)
        return value

    @property
    def schema(self) -> dict[str, Any]:
        """See Rule."""
        limits = {"maxLength": self.max_length, "pattern": self.pattern}
        least = {"minLength": self.min_length} if self.min_length else {}
        return {"type": "string", **least, **{k: v for k, v in limits.items() if v is not None}}

    def __str__(self) -> str:
        return f"string of at most {self.max_length} characters" if self.max_length else "string"


class OneOf(_Frozen, frozen=True):
    """One of a few strings. `expected` names the type in errors."""

    values: tuple[str, ...]
    expected: str = "a string"

    def check(self, value: Any, path: str) -> Any:
        """See Rule."""
        if not isinstance(value, str):
            raise faults.wrong_type(path, self.expected, value)
        if value not in self.values:
            raise faults.not_one_of(path, value, self.values)
        return value

    @property
    def schema(self) -> dict[str, Any]:
        """See Rule."""
        return {"type": "string", "enum": list(self.values)}

    def __str__(self) -> str:
        return ", ".join(f"`{value}`" for value in self.values)


class Array(_Frozen, frozen=True):
    """A list whose items all satisfy one rule. `expected` names the list in errors."""

    item: Rule
    expected: str
    max_length: int
    min_length: int = 0

    def check(self, value: Any, path: str) -> list[Any]:
        """See Rule."""
        if not isinstance(value, list):
            raise faults.wrong_type(path, self.expected, value)
        if len(value) < self.min_length:
            raise faults.empty(path, "array")
        if len(value) > self.max_length:
            raise faults.too_long(path, "array", self.max_length, len(value))
        return [self.item.check(item, f"{path}[{at}]") for at, item in enumerate(value)]

    @property
    def schema(self) -> dict[str, Any]:
        """See Rule."""
        limits = {"minItems": self.min_length, "maxItems": self.max_length}
        return {"type": "array", "items": self.item.schema, **limits}

    def __str__(self) -> str:
        return f"{self.expected}, {self.min_length} to {self.max_length} items"


class Property(_Frozen, frozen=True):
    """One property of an Object."""

    rule: Rule
    required: bool = False


class Object(_Frozen, frozen=True):
    """An object with known properties and no others."""

    properties: Mapping[str, Property]

    def check(self, value: Any, path: str) -> dict[str, Any]:
        """See Rule. Checks properties in the order of `properties`, then unknown ones."""
        if not isinstance(value, dict):
            raise faults.wrong_type(path, "an object", value) if path else faults.no_object(value)
        prefix = f"{path}." if path else ""
        for name, prop in self.properties.items():
            if name in value:
                prop.rule.check(value[name], prefix + name)
            elif prop.required:
                raise faults.missing(prefix + name)
        for name in value:
            if name not in self.properties:
                raise faults.unknown(prefix + name[:64])
        return value

    @property
    def schema(self) -> dict[str, Any]:
        """See Rule."""
        required = [name for name, prop in self.properties.items() if prop.required]
        return {
            "type": "object",
            "properties": {name: prop.rule.schema for name, prop in self.properties.items()},
            "additionalProperties": False,
            **({"required": required} if required else {}),
        }

    def __str__(self) -> str:
        return "object with " + ", ".join(f"`{name}`" for name in self.properties)


class Tagged(_Frozen, frozen=True):
    """An object of one of several kinds. The string in its property `tag` selects the kind.

    `known`, if given, are the kinds that OpenAI's errors name. Some of them are valid in other
    places and rejected here.
    """

    tag: str
    kinds: Mapping[str, Rule]
    known: tuple[str, ...] = ()

    def check(self, value: Any, path: str) -> dict[str, Any]:
        """See Rule."""
        if not isinstance(value, dict):
            raise faults.wrong_type(path, "an object", value)
        if self.tag not in value:
            raise faults.missing(f"{path}.{self.tag}")
        kind = OneOf(self.known or tuple(self.kinds)).check(value[self.tag], f"{path}.{self.tag}")
        if kind not in self.kinds:
            raise faults.not_one_of(f"{path}.{self.tag}", kind, tuple(self.kinds))
        return self.kinds[kind].check(value, path)

    @property
    def schema(self) -> dict[str, Any]:
        """See Rule."""
        return {"anyOf": [rule.schema for rule in self.kinds.values()]}

    def __str__(self) -> str:
        return f"object with `{self.tag}` one of " + ", ".join(f"`{kind}`" for kind in self.kinds)


class Either(_Frozen, frozen=True):
    """A value that satisfies the rule for its JSON type. `expected` names the types in errors."""

    expected: str
    by_type: Mapping[type, Rule]

    def check(self, value: Any, path: str) -> Any:
        """See Rule."""
        rule = self.by_type.get(type(value))
        if rule is None:
            raise faults.wrong_type(path, self.expected, value)
        return rule.check(value, path)

    @property
    def schema(self) -> dict[str, Any]:
        """See Rule."""
        return {"anyOf": [rule.schema for rule in self.by_type.values()]}

    def __str__(self) -> str:
        return " or ".join(str(rule) for rule in self.by_type.values())


class Nullable(_Frozen, frozen=True):
    """null, which means the same as a missing property, or a value that `rule` allows."""

    rule: Rule

    def check(self, value: Any, path: str) -> Any:
        """See Rule."""
        return None if value is None else self.rule.check(value, path)

    @property
    def schema(self) -> dict[str, Any]:
        """See Rule."""
        return {"anyOf": [self.rule.schema, {"type": "null"}]}

    def __str__(self) -> str:
        return f"{self.rule}, or null"


class FreeForm(_Frozen, frozen=True):
    """Any JSON object with at most `levels` levels. None: of any depth."""

    levels: int | None = MAX_DEPTH

    def check(self, value: Any, path: str) -> dict[str, Any]:
        """See Rule."""
        if not isinstance(value, dict):
            raise faults.wrong_type(path, "an object", value)
        if self.levels is not None and _is_deeper(value, self.levels):
            raise InvalidRequest(
                f"Invalid '{path}': nested too deeply. Expected at most {self.levels} levels.",
                param=path,
                code="json_too_deep",
            )
        return value

    @property
    def schema(self) -> dict[str, Any]:
        """See Rule."""
        return {"type": "object"}

    def __str__(self) -> str:
        return "object"


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    if levels == 0:
        return True
    items = value.values() if isinstance(value, dict) else value
    return any(_is_deeper(item, levels - 1) for item in items)
