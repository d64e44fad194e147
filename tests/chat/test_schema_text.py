from __future__ import annotations

import json
import time
from enum import Enum
from typing import Literal, Optional

import pytest
from pydantic import BaseModel, Field

from minikin.chat.schema_text import MAX_CHARS, as_fields, as_json, shortened


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Address(BaseModel):
    """Where somebody lives."""

    street: str = Field(description="Street\n  and number")
    zip_code: Optional[str] = None  # noqa: UP045, as clients write it


class Person(BaseModel):
    name: str = Field(description="Full name", max_length=50)
    likes: list[Color] = Field(description="Colors")
    kind: Literal["adult", "child"]
    age: int
    home: Address
    work: Address | None = Field(default=None, description="Where the person works")
    children: list[Person] = []


def test_a_list_of_fields_tells_what_each_is():
    assert as_fields(Person.model_json_schema()).splitlines() == [
        "Person",
        "  - name: Full name",
        "  - likes: Colors (list of red or blue)",
        "  - kind (adult or child)",
        "  - age (integer)",
        "  - home: Where somebody lives.",
        "    - street: Street and number",
        "    - zip_code (string or null)",
        "  - work: Where the person works (Address or null)",
        "  - children (list of Person)",
    ]


def test_values_that_are_not_objects_are_described_by_type():
    assert as_fields({"type": "array", "items": {"type": "string"}}) == "list of string"
    people = {"type": "array", "items": {"properties": {"name": True, "on": {"format": "date"}}}}
    assert as_fields(people) == "list\n  - name\n  - on"
    dated = {"properties": {"on": {"type": "string", "format": "date"}, "is": {"const": True}}}
    assert as_fields(dated) == "- on (date)\n- is (true)"


def long_schema() -> dict:
    values = [f"value {i}" for i in range(100)]
    return {
        "title": "Form",
        "type": "object",
        "properties": {
            "first": {"type": "string", "description": "It is long. " * 100, "pattern": "^a+$"},
            "second": {"enum": values, "examples": ["value 1"]},
            "third": {"$ref": "#/$defs/Inner"},
        },
        "required": ["first"],
        "$defs": {"Inner": {"type": "object", "properties": {"enum": {"type": "integer"}}}},
    }


def test_a_schema_loses_the_least_important_parts_first():
    schema = long_schema()
    whole, told, cut, more, bare, names = shortened(schema)
    assert whole is schema
    assert told["properties"]["first"] == {"type": "string", "description": "It is long. " * 100}
    assert "title" not in told
    assert told["properties"]["second"] == {"enum": schema["properties"]["second"]["enum"]}
    assert told["$defs"] == schema["$defs"]
    assert cut["properties"]["first"]["description"].endswith("...")
    assert cut["properties"]["second"]["enum"][38:] == ["value 38", "value 39", "..."]
    assert len(as_json(more)) < len(as_json(cut))
    assert bare["properties"] == {
        "first": {"type": "string"},
        "second": {},
        "third": {"$ref": "#/$defs/Inner"},
    }
    assert names == {"type": "object", "properties": {"first": {}, "second": {}, "third": {}}}
    sizes = [len(as_json(shorter)) for shorter in shortened(schema)]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"properties": 5},
        {"properties": {"a": None, "b": True, "c": []}},
        {"$ref": 5, "items": [1, {}]},
        {"$ref": "#"},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
        {"anyOf": {}, "type": [{}, "string"], "enum": {}, "description": []},
        {"properties": {"a\n- b": {"enum": ["", "\n", None, 1.5, {"x": 1}]}}},
    ],
)
def test_an_odd_schema_is_described_without_an_error(schema: dict):
    for shorter in shortened(schema):
        as_fields(shorter)
        json.loads(as_json(shorter))


def test_a_name_with_line_breaks_stays_one_line():
    assert as_fields({"properties": {"a\n- b": {"type": "null"}}}) == r"- 'a\n- b' (null)"


def test_definitions_that_refer_to_each_other_take_no_time():
    alike = {f"d{i}": {"anyOf": [{"$ref": f"#/$defs/d{(i * j) % 99}"} for j in range(1, 9)]}
             for i in range(99)}  # fmt: skip
    alike["d0"] = {"enum": [f"{i}" * 60 for i in range(2000)]}
    blank = {"description": " " * 100_000, "properties": {"x": {}}}
    schema = {
        "properties": {f"p{i}": {"$ref": f"#/$defs/d{i % 99}"} for i in range(1, 4000)}
        | {f"q{i}": {"$ref": "#/$defs/blank"} for i in range(1000)},
        "$defs": alike | {"blank": blank},
    }
    started = time.process_time()
    texts = [as_fields(shorter) for shorter in shortened(schema)]
    assert time.process_time() - started < 5
    assert all(len(text) > MAX_CHARS for text in texts)
