"""Rewrites objects with rules for names and size as objects whose form guarantees them."""

from __future__ import annotations

from math import inf
from typing import Any

from minikin.constrain.schema.alternatives import Alternatives
from minikin.constrain.schema.few import few_texts
from minikin.constrain.schema.shape import NONE, Nodes, Shape

MAX_FREE = 128
"""Maximum elements of an array, or additional names of an object, without their own limit."""
FREE_NAME = r"^[^\x00-\x1f\x7f\"\\]{1,64}$"
"""A name that a small model invents would have no end. Without escapes it has one spelling."""
_ANY_NAME = ("", ".", ".*", ".+", "^.*$", "^.+$", "^.*", "^.+")
"""Patterns without an effect."""
MAX_OPTIONAL = 400
"""Maximum optional properties. Each one makes every step slower."""
MAX_MADE_UP = 64
"""Maximum names that are listed for a pattern, or invented for an object that needs more."""


class Properties:
    """The properties of one object's shape: named ones, those of a pattern, and the rest."""

    def __init__(self, shape: Shape, alternatives: Alternatives, *, closed: bool = False) -> None:
        """If it is `closed`, an object of which nothing is described has no properties."""
        members = shape.members
        self._alternatives = alternatives
        self._names = members.names
        self._limits = shape.limits
        self.required = list(members.required)
        self.named = {n: members.of(n) for n in (*members.named, *members.required)}
        self.patterns: dict[str, Nodes] = {}
        for pattern, nodes in members.patterns.items():
            self._add(FREE_NAME if pattern in _ANY_NAME else pattern, nodes)
        self.rest: Nodes = members.rest
        if members.names:
            self._keep_names()
        unnamed = not (self.named or self.patterns)
        undescribed = closed and not (members.all_seen or members.names)
        is_open = (unnamed and not undescribed) or self._least > len(self.named)
        if not self.rest and not is_open:
            self.rest = NONE  # without a rule for more properties, a small model never ends

    def _add(self, pattern: str, nodes: Nodes) -> None:
        """Names of this pattern; each of them if they are few, so that none can come twice."""
        texts = few_texts(pattern, MAX_MADE_UP)
        if texts is None:
            self.patterns[pattern] = nodes
        else:
            self.named = dict.fromkeys(texts, nodes) | self.named

    @property
    def _least(self) -> int:
        return int(self._limits.get("minProperties", 0))

    def _keep_names(self) -> None:
        """Keep names that `propertyNames` allows: named ones, or those of one list or pattern."""
        for name in self.named:
            if not self._alternatives.holds(name, self._names):
                self.named[name] = NONE
        rest, self.rest, self.patterns = self.rest, NONE, {}
        if self.named or rest == NONE:
            return
        for shape in self._alternatives.of(self._names):
            if shape.values is not None:
                self.named |= {name: rest for name in shape.values if isinstance(name, str)}
            elif shape.kind == "string":
                low, high = shape.limits.get("minLength", 0), shape.limits.get("maxLength", "")
                pattern = f"^(?:.|\\n){{{low},{high}}}$"
                if shape.patterns and (shape.limits or len(shape.patterns) > 1):
                    self._alternatives.lost.add("propertyNames")
                else:
                    self._add(shape.patterns[0] if shape.patterns else pattern, rest)

    def schema(self, named: dict[str, Any], patterns: dict[str, Any], rest: Any) -> Any:
        """The object with these values for the properties. False if it is impossible."""
        if rest is False and not any(patterns.values()):
            patterns = {}
        can = [name for name, made in named.items() if made is not False]
        if any(name not in can for name in self.required):
            return False
        limits: dict[str, int] = {}
        required = [*self.required]
        missing = self._least - len(required)
        is_open = rest is not False or any(patterns.values())
        if missing > 0 and not (missing == 1 and not required and can):
            optional = [name for name in can if name not in required][:missing]
            required += optional
            missing -= len(optional)
        if missing > 1 and rest is not False:
            made_up = [f"item{at}" for at in range(1, min(missing, MAX_MADE_UP) + 1)]
            named, can = named | dict.fromkeys(made_up, rest), [*can, *made_up]
            required += made_up
            missing -= len(made_up)
        if missing > 1 or (missing == 1 and not can and not is_open):
            self._alternatives.lost.add("minProperties")
            return False
        if missing == 1:
            limits["minProperties"] = len(required) + 1
        most = self._limits.get("maxProperties", inf)
        if most == inf and is_open and len(required) == len(can):
            most = len(can) + MAX_FREE
        if len(required) > most:
            return False
        if most < inf and is_open and len(required) == len(can) < most:
            limits["maxProperties"] = int(most)
        elif most < inf:
            rest, patterns = False, {}
            spare = [name for name in can if name not in required][: int(most) - len(required)]
            can = [name for name in can if name in required or name in spare]
        if len(can) - len(required) > MAX_OPTIONAL:
            spare = {*[name for name in can if name not in required][MAX_OPTIONAL:]}
            can, rest, patterns = [name for name in can if name not in spare], False, {}
        return self._written(named, can, patterns, rest) | {"required": required} | limits

    def _written(
        self, named: dict[str, Any], can: list[str], patterns: dict[str, Any], rest: Any
    ) -> dict[str, Any]:
        if rest is not False and not named and not patterns:
            rest, patterns = False, {FREE_NAME: rest}
        # An impossible name must not occur as one of the rest.
        kept = named if rest is not False or patterns else can
        made = {"type": "object", "properties": {name: named[name] for name in kept}}
        made |= {"patternProperties": patterns} if patterns else {}
        return made | {"additionalProperties": rest}
