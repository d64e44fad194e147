from __future__ import annotations

import pytest

from minikin.constrain.schema.alternatives import Alternatives
from minikin.constrain.schema.complement import other_texts
from minikin.constrain.schema.document import Document, compiled
from tests.constrain.schemas import FLAG, TEXT, WHOLE, closed
from tests.constrain.walk import SUBJECT, check, grammar_of, wander

PICKY = {"oneOf": [closed(k={"const": "a"}, x=FLAG), closed(k={"const": "b"}, x=FLAG)]}

KEPT = [
    ({"not": {"type": "string"}}, [1, 1.5, None, True, [], {}], ["", "a"]),
    ({"not": {"const": 1}}, [0, 2, 1.5, "1", True, None, [], {}], [1, 1.0]),
    ({"not": {"enum": ["ab", {}, []]}}, ["", "a", "abc", "b", [1], {"a": 1}], ["ab", {}, []]),
    (
        {"type": "object", "not": {"required": ["a", "b"]}},
        [{}, {"a": 1}, {"b": 1}],
        [{"a": 1, "b": 1}],
    ),
    ({"type": "array", "not": {"items": WHOLE}}, [["a"], ["a", 1]], [[], [1]]),
    ({"type": "array", "not": {"contains": WHOLE}}, [[], ["a"]], [[1], ["a", 1]]),
    ({"not": {"minimum": 5}, "type": "number"}, [4, 4.9], [5, 6]),
    ({"not": {"oneOf": [FLAG, {"enum": [True, 1]}]}}, [True, "x", 2], [False, 1]),
    ({"if": WHOLE, "then": {"minimum": 3}, "else": TEXT}, [3, "a"], [2, None]),
    (
        {"type": "string", "if": {"minLength": 3}, "then": {"pattern": "^x"}},
        ["", "ab", "xab"],
        ["abc"],
    ),
    ({"oneOf": [WHOLE, {"minimum": 2}]}, [1, "a", None], [2, 3]),
    (PICKY, [{"k": "a", "x": True}, {"k": "b", "x": False}], [{"k": "c", "x": True}, {"k": "a"}]),
    (
        {"type": "object", "dependentRequired": {"a": ["b"]}},
        [{}, {"b": 1}, {"a": 1, "b": 1}],
        [{"a": 1}],
    ),
    ({"allOf": [{"enum": [1, 2]}, {"enum": [2, 3]}]}, [2], [1, 3]),
    ({"type": "array", "contains": WHOLE, "minContains": 2}, [[1, 2], ["a", 1, 2]], [[1], []]),
    ({"type": "array", "uniqueItems": True}, [[], [1, True], [1, 2]], [[1, 1.0], [{}, {}]]),
    ({"propertyNames": {"maxLength": 1}, "type": "object"}, [{}, {"a": 1}], [{"ab": 1}]),
    (
        {"properties": {"a": FLAG}, "unevaluatedProperties": False, "type": "object"},
        [{}, {"a": True}],
        [{"b": 1}],
    ),
    ({"const": True}, [True], [1]),
]


@pytest.mark.parametrize(("schema", "kept", "lost"), KEPT)
def test_joining_keeps_what_the_schema_allows(schema, kept, lost):
    document = Document(schema, SUBJECT)
    alternatives = Alternatives(document)
    for value in kept:
        check(value, schema)
        assert alternatives.holds(value, (document.root,)), value
    for value in lost:
        assert not alternatives.holds(value, (document.root,)), value


def test_branches_with_different_constants_do_not_change():
    document = Document(PICKY, SUBJECT)
    shapes = Alternatives(document).of((document.root,))
    assert [shape.kind for shape in shapes] == ["object", "object"]


def test_the_pattern_of_other_texts_has_every_text_but_those():
    pattern = compiled(other_texts(["", "a", "ab", "é", "\n", "]"]))
    for text in ("", "a", "ab", "é", "\n", "]"):
        assert not pattern.search(text)
    for text in ("b", "aa", "abc", "éa", "\n\n", "]]", "^", "\\", "aé"):
        assert pattern.search(text)


def test_all_orders_of_a_few_unique_values_can_come():
    grammar = grammar_of({"type": "array", "items": {"enum": [1, 2]}, "uniqueItems": True})
    assert {wander(grammar, seed) for seed in range(60)} == {"[]", "[1]", "[2]", "[1, 2]", "[2, 1]"}
